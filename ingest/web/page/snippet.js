/** The server's `<picture>` element with the user's `alt` and `sizes`, to copy and paste. */

import { copyOnClick } from "./clipboard.js";
import { partsOf } from "./dom.js";

const DEFAULT_SIZES = "100vw"; // in the server's element

export class Snippet {
  #parts;
  /** @type {string | null} the server's element; null for a private upload */
  #picture = null;
  /** @type {string | null} */
  #id = null;

  /**
   * @param {HTMLElement} root
   * @param {(message: string) => void} announce
   */
  constructor(root, announce) {
    this.#parts = partsOf(root);
    for (const input of [this.#parts.alt, this.#parts.sizes]) input.addEventListener("input", () => this.#render());
    copyOnClick(this.#parts.copy, () => this.#parts.code.textContent, announce);
  }

  /** @param {import("./api.js").Upload} upload */
  show({ uploadId, picture, urls }) {
    const { inputs, copy, alt, hint } = this.#parts;
    this.#picture = picture;
    if (uploadId !== this.#id) alt.value = ""; // the text of another image
    this.#id = uploadId;
    inputs.hidden = copy.hidden = picture === null;
    const [url] = Object.values(Object.values(urls)[0] ?? {});
    hint.hidden = picture === null || !url?.startsWith("/");
    this.#render();
  }

  #render() {
    const { code, alt, sizes } = this.#parts;
    code.textContent =
      this.#picture === null
        ? "This image is private. Make its element with a client library, which adds a token."
        : fill(this.#picture, alt.value.trim(), sizes.value.trim() || DEFAULT_SIZES).replaceAll("><", ">\n<");
  }
}

/**
 * Puts values into the attributes of the server's element. Its own values contain no quotes and no ">": they are escaped.
 * @param {string} picture
 * @param {string} alt
 * @param {string} sizes
 */
function fill(picture, alt, sizes) {
  return picture
    .replaceAll(` sizes="${DEFAULT_SIZES}"`, () => ` sizes="${escape(sizes)}"`)
    .replace(' alt=""', () => ` alt="${escape(alt)}"`);
}

/** @param {string} text */
function escape(text) {
  /** @type {Record<string, string>} */
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };
  return text.replace(/[&<>"']/g, (character) => entities[character]);
}
