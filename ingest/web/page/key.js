/** The API key: requested after a 401, sent as a header, stored in this tab only. */

import { ask } from "./dialog.js";
import { partsOf } from "./dom.js";

const STORAGE_KEY = "darkroom-key";

export class Keyring extends EventTarget {
  #dialog;
  #parts;
  #storage;
  /** @type {Promise<boolean> | null} */
  #asking = null;

  /**
   * @param {HTMLDialogElement} dialog
   * @param {Storage} storage the tab's sessionStorage
   */
  constructor(dialog, storage) {
    super();
    this.#dialog = dialog;
    this.#parts = partsOf(dialog);
    this.#storage = storage;
  }

  get key() {
    return this.#storage.getItem(STORAGE_KEY);
  }

  /** @returns {Record<string, string>} */
  get headers() {
    return this.key ? { Authorization: `Bearer ${this.key}` } : {};
  }

  forget() {
    this.#storage.removeItem(STORAGE_KEY);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Asks the user for another key than the rejected one. Concurrent calls share one dialog.
   * @param {string | null} rejected
   * @returns {Promise<boolean>} whether there is another key now
   */
  async requestKey(rejected) {
    if (this.key && this.key !== rejected) return true;
    this.#asking ??= this.#prompt(rejected !== null).finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  /** @param {boolean} rejected whether the server rejected a key */
  async #prompt(rejected) {
    const { input, rejection } = this.#parts;
    input.value = "";
    rejection.hidden = !rejected;
    input.setAttribute("aria-invalid", String(rejected));
    const answered = await ask(this.#dialog);
    if (answered) this.#storage.setItem(STORAGE_KEY, input.value.trim());
    input.value = "";
    if (answered) this.dispatchEvent(new Event("change"));
    return answered;
  }
}
