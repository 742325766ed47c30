/** One variant in the gallery: its picture, its figures, its URL. */

import { copyOnClick } from "./clipboard.js";
import { partsOf, stamp } from "./dom.js";
import { develop, paint, sizeOf } from "./frame.js";
import { bytes, milliseconds, pixels } from "./words.js";

export class Card {
  #url;
  #parts;

  /**
   * @param {{size: string, format: string, url: string}} variant
   * @param {import("./api.js").Placeholder} placeholder
   * @param {(words: string) => void} announce
   */
  constructor({ size, format, url }, placeholder, announce) {
    this.name = `${size}.${format}`;
    this.root = stamp("card-template");
    this.#url = url;
    this.#parts = partsOf(this.root);
    const { frame, picture, title, copy } = this.#parts;
    title.textContent = format;
    frame.href = url;
    frame.setAttribute("aria-label", `Open ${this.name}`);
    paint(frame, placeholder);
    picture.alt = this.name;
    copy.setAttribute("aria-label", `Copy the URL of ${this.name}`);
    copyOnClick(copy, () => new URL(url, location.href).href, announce);
  }

  /**
   * @param {import("./api.js").Variant} known
   * @param {number} heaviest bytes of the heaviest variant of this size
   */
  show(known, heaviest) {
    this.root.dataset.state = known.state;
    this.#fill("bytes", known.bytes, bytes);
    this.#fill("milliseconds", known.milliseconds, milliseconds);
    this.#fill("quality", known.quality, String);
    this.#fill("score", known.score, (score) => score.toFixed(1));
    this.#parts.bar.style.setProperty("--share", String((known.bytes ?? 0) / heaviest));
  }

  /** Asks for the picture, which derives it if nothing has yet. */
  reveal() {
    const { frame, picture } = this.#parts;
    develop(frame, picture, this.#url, () => this.#write("pixels", pixels(sizeOf(picture))));
  }

  /**
   * Writes a figure, if it is known, with its exact value for programs.
   * @param {string} name
   * @param {number | null} value
   * @param {(value: number) => string} words
   */
  #fill(name, value, words) {
    if (value === null) return;
    this.#parts[name].value = value;
    this.#write(name, words(value));
  }

  /**
   * @param {string} name
   * @param {string} words
   */
  #write(name, words) {
    const figure = this.#parts[name];
    figure.textContent = words;
    figure.closest("div").hidden = false;
  }
}
