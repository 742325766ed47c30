/** The server's `<picture>` element, to copy and paste. */

import { copyOnClick } from "./clipboard.js";
import { partsOf } from "./dom.js";

export class Snippet {
  #parts;

  /**
   * @param {HTMLElement} root
   * @param {(message: string) => void} announce
   */
  constructor(root, announce) {
    this.#parts = partsOf(root);
    copyOnClick(this.#parts.copy, () => this.#parts.code.textContent, announce);
  }

  /** @param {import("./api.js").Upload} upload */
  show({ picture, urls }) {
    const { code, hint } = this.#parts;
    code.textContent =
      picture?.replaceAll("><", ">\n<") ?? // in attributes, ">" is escaped
      "This image is private. Make its element with a client library, which adds a token.";
    const [url] = Object.values(Object.values(urls)[0] ?? {});
    hint.hidden = !url?.startsWith("/");
  }
}
