/** Compares two formats of one size, one over the other, with a slider between them. */

import { partsOf } from "./dom.js";
import { compareSizes } from "./formatting.js";
import { bytesOf, forgetFailure, loadImage, paintPlaceholder, sizeOf } from "./frame.js";
import { Stage } from "./stage.js";

/** @typedef {{name: string, format: string, url: string, image: HTMLImageElement}} Side */

export class Compare {
  #parts;
  #stage;
  /** @type {import("./api.js").Urls} */
  #urls = {};
  /** @type {Record<string, import("./api.js").Variant>} */
  #variants = {};
  #loadAll = false;
  /** @type {import("./previews.js").Shown["renew"]} */
  #renew = async () => this.#urls;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#parts = partsOf(root);
    this.#stage = new Stage(this.#parts, (share) => this.#describeSplit(share));
    const { size, left, right, again, leftImage, rightImage } = this.#parts;
    size.addEventListener("change", () => this.#offerFormats(left.value, right.value));
    for (const choice of [size, left, right]) choice.addEventListener("change", () => this.#render());
    again.addEventListener("click", async () => {
      const renew = this.#renew;
      const urls = await renew();
      if (renew !== this.#renew) return; // another upload was opened meanwhile
      this.#urls = urls;
      for (const image of [leftImage, rightImage]) forgetFailure(image);
      this.#render();
    });
  }

  /**
   * Chooses the last size, and the format for older clients against the last, which is the newest. The former is PNG for
   * transparent images, which have no preview.
   * @param {import("./previews.js").Shown} upload
   */
  show({ previews, placeholder, renew }) {
    const { size, layers, leftImage, rightImage } = this.#parts;
    const sizes = Object.keys(previews);
    this.#urls = previews;
    this.#renew = renew;
    this.#variants = {};
    this.#loadAll = false;
    fillSelect(size, sizes, sizes.at(-1));
    this.#offerFormats(placeholder.dataUrl ? "jpg" : "png");
    for (const image of [leftImage, rightImage]) image.removeAttribute("src");
    delete layers.dataset.image;
    paintPlaceholder(layers, placeholder);
    this.#stage.reset();
    this.#render();
  }

  /** @type {import("./gallery.js").Gallery["update"]} */
  update(variants, loadAll) {
    this.#variants = variants;
    this.#loadAll = loadAll;
    this.#render();
  }

  /**
   * Offers the formats of the chosen size.
   * @param {string} left is chosen if the size has it, otherwise its first format
   * @param {string} [right] otherwise its last
   */
  #offerFormats(left, right = "") {
    const { size, left: leftSelect, right: rightSelect } = this.#parts;
    const formats = Object.keys(this.#urls[size.value] ?? {});
    fillSelect(leftSelect, formats, formats.includes(left) ? left : formats.at(0));
    fillSelect(rightSelect, formats, formats.includes(right) ? right : formats.at(-1));
  }

  #render() {
    const { layers, saved } = this.#parts;
    const [left, right] = [this.#side("left"), this.#side("right")];
    for (const { name, url, image } of [left, right]) {
      image.alt = name;
      const ready = this.#loadAll || this.#variants[name]?.state === "stored";
      if (ready) loadImage(layers, image, url, () => this.#onLoad(image));
    }
    this.#parts.leftTag.textContent = left.format;
    this.#parts.rightTag.textContent = right.format;
    saved.textContent = this.#describeSavings(left, right);
    this.#stage.split();
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
    this.#stage.setSize(sizeOf(image));
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

  /** @param {number} share */
  #describeSplit(share) {
    const { slider, left, right } = this.#parts;
    slider.setAttribute("aria-valuetext", `${share}% ${left.value}, ${100 - share}% ${right.value}`);
  }
}

/**
 * @param {HTMLSelectElement} select
 * @param {string[]} names
 * @param {string | undefined} selected
 */
function fillSelect(select, names, selected) {
  select.replaceChildren(...names.map((name) => new Option(name, name)));
  select.value = selected ?? "";
}
