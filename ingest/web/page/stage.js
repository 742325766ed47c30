/** The stage of the comparison: both images, the divider between them, and the view at 1:1 pixels, which scrolls. */

export class Stage {
  #parts;
  #onSplit;
  #size = { width: 1, height: 1 };

  /**
   * @param {Record<string, any>} parts
   * @param {(share: number) => void} onSplit called with the percentage that the left image takes of what is visible
   */
  constructor(parts, onSplit) {
    this.#parts = parts;
    this.#onSplit = onSplit;
    parts.slider.addEventListener("input", () => this.split());
    parts.exact.addEventListener("change", () => this.#measure());
    parts.viewport.addEventListener("scroll", () => this.split());
    addEventListener("resize", () => this.#measure()); // zooming changes the size of a pixel, too
  }

  /** Fits the stage to the dimensions of the images in pixels. */
  setSize(/** @type {{width: number, height: number}} */ size) {
    this.#size = size;
    this.#measure();
  }

  /** Puts the divider at the middle of what is visible. */
  reset() {
    this.#parts.slider.value = "50";
    this.split();
  }

  /** Places the divider where the slider is, in the visible part of the images. */
  split() {
    const { layers, viewport, slider } = this.#parts;
    const width = layers.clientWidth || 1;
    const visible = Math.min(1, viewport.clientWidth / width || 1);
    const split = (viewport.scrollLeft / width) * 100 + slider.value * visible;
    layers.style.setProperty("--split", `${Math.min(100, split)}%`);
    this.#onSplit(Number(slider.value));
  }

  #measure() {
    const { stage, layers, viewport, exact } = this.#parts;
    const { width, height } = this.#size;
    stage.classList.toggle("exact", exact.checked);
    layers.style.setProperty("--ratio", `${width} / ${height}`);
    layers.style.setProperty("--width", `${width / devicePixelRatio}px`);
    viewport.tabIndex = exact.checked ? 0 : -1; // so that the keyboard can scroll it
    this.split();
  }
}
