/** The API key: asked for when a call is refused, sent as a header, kept in this tab and nowhere else. */

import { ask } from "./dialog.js";
import { partsOf } from "./dom.js";

const SLOT = "darkroom-key";

export class Keyring extends EventTarget {
  #dialog;
  #parts;
  #storage;
  /** @type {Promise<boolean> | null} */
  #asking = null;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {Storage} storage that of the tab
   */
  constructor(dialog, storage) {
    super();
    this.#dialog = dialog;
    this.#parts = partsOf(dialog);
    this.#storage = storage;
  }

  get key() {
    return this.#storage.getItem(SLOT);
  }

  /** @returns {Record<string, string>} */
  get headers() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  forget() {
    this.#storage.removeItem(SLOT);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Asks for another key than the refused one. Calls that are refused at the same time share one question.
   * @param {string | null} refused
   * @returns {Promise<boolean>} whether there is another key now
   */
  async renew(refused) {
    if (this.key && this.key !== refused) return true;
    this.#asking ??= this.#question(refused !== null).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /** @param {boolean} wrong whether there was a key, which the server did not know */
  async #question(wrong) {
    const { input, refusal } = this.#parts;
    input.value = "";
    refusal.hidden = !wrong;
    input.setAttribute("aria-invalid", String(wrong));
    const answered = await ask(this.#dialog);
    if (answered) this.#storage.setItem(SLOT, input.value.trim());
    input.value = "";
    if (answered) this.dispatchEvent(new Event("change"));
    return answered;
  }
}
