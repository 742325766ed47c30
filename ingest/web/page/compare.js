/** Compares two formats of one size, one over the other, with a slider between them. */

import { partsOf } from "./dom.js";
import { compareSizes } from "./formatting.js";
import { bytesOf, loadImage, paintPlaceholder, sizeOf } from "./frame.js";

/** @typedef {{name: string, format: string, url: string, image: HTMLImageElement}} Side */

export class Compare {
  #parts;
  /** @type {import("./api.js").Urls} */
  #urls = {};
  /** @type {Record<string, import("./api.js").Variant>} */
  #variants = {};
  #loadAll = false;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#parts = partsOf(root);
    const { size, left, right, slider } = this.#parts;
    for (const choice of [size, left, right]) choice.addEventListener("change", () => this.#render());
    slider.addEventListener("input", () => this.#split());
  }

  /**
   * Chooses the last size, and the format for older clients against the last, which is the newest. The former is PNG for
   * transparent images, which have no preview.
   * @param {import("./api.js").Upload} upload
   */
  show({ urls, placeholder }) {
    const { size, left, right, stage, slider, leftImage, rightImage } = this.#parts;
    const formats = Object.keys(Object.values(urls)[0] ?? {});
    this.#urls = urls;
    this.#variants = {};
    this.#loadAll = false;
    fillSelect(size, Object.keys(urls), -1);
    fillSelect(left, formats, placeholder.dataUrl ? 0 : formats.indexOf("png"));
    fillSelect(right, formats, -1);
    for (const image of [leftImage, rightImage]) image.removeAttribute("src");
    delete stage.dataset.image;
    paintPlaceholder(stage, placeholder);
    slider.value = "50";
    this.#render();
  }

  /** @type {import("./gallery.js").Gallery["update"]} */
  update(variants, loadAll) {
    this.#variants = variants;
    this.#loadAll = loadAll;
    this.#render();
  }

  #render() {
    const { stage, saved } = this.#parts;
    const [left, right] = [this.#side("left"), this.#side("right")];
    for (const { name, url, image } of [left, right]) {
      image.alt = name;
      const ready = this.#loadAll || this.#variants[name]?.state === "stored";
      if (ready) loadImage(stage, image, url, () => this.#onLoad(image));
    }
    this.#parts.leftTag.textContent = left.format;
    this.#parts.rightTag.textContent = right.format;
    saved.textContent = this.#describeSavings(left, right);
    this.#split();
  }

  /**
   * @param {"left" | "right"} name
   * @returns {Side}
   */
  #side(name) {
    const [size, format] = [this.#parts.size.value, this.#parts[name].value];
    const url = this.#urls[size]?.[format] ?? "";
    return { name: `${size}.${format}`, format, url, image: this.#parts[`${name}Image`] };
  }

  /** @param {HTMLImageElement} image that has loaded */
  #onLoad(image) {
    const { width, height } = sizeOf(image);
    this.#parts.stage.style.setProperty("--ratio", `${width} / ${height}`);
    this.#render(); // the bytes may be known now
  }

  /**
   * @param {Side} left
   * @param {Side} right
   */
  #describeSavings(left, right) {
    const [first, second] = [left, right].map(({ name, format, url }) => ({
      name: format.toUpperCase(),
      bytes: this.#variants[name]?.bytes ?? bytesOf(url),
    }));
    if (left.format === right.format) return "Choose two different formats.";
    if (first.bytes === null || second.bytes === null) return "Sizes appear when both are ready.";
    return compareSizes({ ...first, bytes: first.bytes }, { ...second, bytes: second.bytes });
  }

  #split() {
    const { stage, slider, left, right } = this.#parts;
    stage.style.setProperty("--split", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value}% ${left.value}, ${100 - slider.value}% ${right.value}`);
  }
}

/**
 * Fills a select element and selects the option at `index`; a negative index counts from the end.
 * @param {HTMLSelectElement} select
 * @param {string[]} names
 * @param {number} index
 */
function fillSelect(select, names, index) {
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.value = names.at(index) ?? "";
}
