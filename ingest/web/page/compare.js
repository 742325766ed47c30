/** Two formats of one size over one another, with a slider between them. */

import { partsOf } from "./dom.js";
import { develop, paint, sizeOf } from "./frame.js";
import { comparison } from "./words.js";

/** @typedef {{name: string, format: string, url: string, picture: HTMLImageElement}} Side */

export class Compare {
  #parts;
  /** @type {import("./api.js").Urls} */
  #urls = {};
  /** @type {Record<string, import("./api.js").Variant>} */
  #variants = {};
  #all = false;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#parts = partsOf(root);
    const { size, left, right, slider } = this.#parts;
    for (const choice of [size, left, right]) choice.addEventListener("change", () => this.#render());
    slider.addEventListener("input", () => this.#split());
  }

  /**
   * The last size, and its first format against its last: what is oldest against what is newest.
   * @param {import("./api.js").Upload} upload
   */
  show({ urls, placeholder }) {
    const { size, left, right, stage, slider, leftPicture, rightPicture } = this.#parts;
    const formats = Object.keys(Object.values(urls)[0] ?? {});
    this.#urls = urls;
    this.#variants = {};
    this.#all = false;
    offer(size, Object.keys(urls), -1);
    offer(left, formats, 0);
    offer(right, formats, -1);
    for (const picture of [leftPicture, rightPicture]) picture.removeAttribute("src");
    delete stage.dataset.picture;
    paint(stage, placeholder);
    slider.value = "50";
    this.#render();
  }

  /** @type {import("./gallery.js").Gallery["update"]} */
  update(variants, all) {
    this.#variants = variants;
    this.#all = all;
    this.#render();
  }

  #render() {
    const { stage, saved } = this.#parts;
    const [left, right] = [this.#side("left"), this.#side("right")];
    for (const { name, url, picture } of [left, right]) {
      picture.alt = name;
      if (this.#all || this.#variants[name]?.state === "stored") develop(stage, picture, url, () => this.#shape(picture));
    }
    this.#parts.leftTag.textContent = left.format;
    this.#parts.rightTag.textContent = right.format;
    saved.textContent = this.#savings(left, right);
    this.#split();
  }

  /**
   * @param {"left" | "right"} name
   * @returns {Side}
   */
  #side(name) {
    const [size, format] = [this.#parts.size.value, this.#parts[name].value];
    const url = this.#urls[size]?.[format] ?? "";
    return { name: `${size}.${format}`, format, url, picture: this.#parts[`${name}Picture`] };
  }

  /** @param {HTMLImageElement} picture that has loaded */
  #shape(picture) {
    const { width, height } = sizeOf(picture);
    this.#parts.stage.style.setProperty("--ratio", `${width} / ${height}`);
  }

  /**
   * @param {Side} left
   * @param {Side} right
   */
  #savings(left, right) {
    const [one, other] = [left, right].map(({ name, format }) => ({
      name: format.toUpperCase(),
      bytes: this.#variants[name]?.bytes ?? null,
    }));
    if (left.format === right.format) return "Choose two formats.";
    if (one.bytes === null || other.bytes === null) return "The bytes are known once both are derived.";
    return comparison({ ...one, bytes: one.bytes }, { ...other, bytes: other.bytes });
  }

  #split() {
    const { stage, slider, left, right } = this.#parts;
    stage.style.setProperty("--split", `${slider.value}%`);
    slider.setAttribute("aria-valuetext", `${slider.value}% ${left.value}, ${100 - slider.value}% ${right.value}`);
  }
}

/**
 * Fills a choice, and chooses the option at `index`, from the end where it is negative.
 * @param {HTMLSelectElement} select
 * @param {string[]} names
 * @param {number} index
 */
function offer(select, names, index) {
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.value = names.at(index) ?? "";
}
