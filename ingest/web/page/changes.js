/** Changes of an opened upload, its focus and its visibility, for keys that may make them. */

import { partsOf } from "./dom.js";
import { FocusPicker } from "./focus.js";

const VISIBILITIES = {
  public: { text: "Public: the URL alone shows the image.", button: "Make private", other: "private" },
  private: { text: "Private: URLs need a token that expires.", button: "Make public", other: "public" },
};

export class Changes {
  #root;
  #parts;
  #access;
  #focus;
  /** @type {import("./previews.js").Shown | null} */
  #upload = null;

  /**
   * @param {HTMLElement} root
   * @param {object} context
   * @param {import("./access.js").Access} context.access
   * @param {(changes: Parameters<import("./api.js").Api["change"]>[1], message: string) => Promise<void>} context.change
   */
  constructor(root, { access, change }) {
    this.#root = root;
    this.#parts = partsOf(root);
    this.#access = access;
    this.#focus = new FocusPicker(this.#parts.focus, (focus) =>
      change({ focus }, focus ? "Focus saved. The variants are derived again." : "The focus is the centre again."),
    );
    this.#parts.switch.addEventListener("click", () => {
      const { other } = VISIBILITIES[this.#upload?.visibility ?? "public"];
      change({ visibility: /** @type {"public" | "private"} */ (other) }, `The upload is ${other} now.`);
    });
    access.addEventListener("change", () => this.#update());
  }

  /** @param {import("./previews.js").Shown} upload */
  show(upload) {
    this.#upload = upload;
    this.#focus.show(upload);
    this.#update();
  }

  #update() {
    const { visibility, switch: button, keyless } = this.#parts;
    const current = this.#upload?.visibility ?? "public";
    const { privateImages } = this.#access;
    this.#root.hidden = !(this.#access.allows("upload") && this.#access.allows("read"));
    visibility.textContent = VISIBILITIES[current].text;
    button.textContent = VISIBILITIES[current].button;
    button.hidden = current === "public" && !privateImages; // without SIGNING_KEYS, no token could open it
    keyless.hidden = privateImages;
  }
}
