/** One file on its way: preview, progress, refusal, and what can be done about it. */

import { partsOf, stamp } from "./dom.js";
import { Problem } from "./problem.js";
import { upload } from "./upload.js";
import { bytes } from "./words.js";

/** The buttons that each state offers. */
const ACTIONS = /** @type {const} */ ({
  waiting: ["cancel"],
  sending: ["cancel"],
  checking: ["cancel"],
  taken: ["open"],
  cancelled: ["retry"],
  failed: ["retry"],
  refused: [],
});

/**
 * @typedef {object} Surroundings
 * @property {import("./key.js").Keyring} keyring
 * @property {<T>(task: () => Promise<T>) => Promise<T>} inTurn
 * @property {(words: string) => void} announce
 * @property {(id: string) => void} onTaken
 */

export class Item {
  #file;
  #around;
  #parts;
  #sending = new AbortController();

  /**
   * @param {File} file
   * @param {Surroundings} around
   */
  constructor(file, around) {
    this.#file = file;
    this.#around = around;
    this.root = stamp("item-template");
    this.#parts = partsOf(this.root);
    this.#parts.name.textContent = file.name;
    this.#parts.size.textContent = bytes(file.size);
    this.#parts.progress.setAttribute("aria-label", `Upload of ${file.name}`);
    this.#parts.cancel.addEventListener("click", () => this.#sending.abort());
    this.#parts.retry.addEventListener("click", () => this.start());
    this.#preview();
  }

  /** Sends the file when it is its turn, and says how that went. */
  async start() {
    const { signal } = (this.#sending = new AbortController());
    this.#become("waiting", "Waits for its turn");
    signal.addEventListener("abort", () => this.#become("cancelled", "Cancelled"), { once: true });
    try {
      const document = await this.#around.inTurn(() => this.#send(signal));
      this.#taken(document);
    } catch (error) {
      if (!signal.aborted) this.#failed(error);
    }
  }

  /** @param {AbortSignal} signal */
  #send(signal) {
    signal.throwIfAborted();
    const options = { keyring: this.#around.keyring, signal, onProgress: this.#progress };
    this.#progress(0);
    return upload(this.#file, options);
  }

  #progress = (/** @type {number} */ share) => {
    this.#parts.progress.value = share;
    if (share < 1) this.#become("sending", `Sending, ${Math.floor(100 * share)}%`);
    else this.#become("checking", "Sent; the server looks at it");
  };

  /** @param {import("./api.js").Upload} document */
  #taken({ uploadId, format, dimensions }) {
    const { name, open } = this.#parts;
    open.href = `#${uploadId}`;
    open.setAttribute("aria-label", `Open ${name.textContent}`);
    this.#become("taken", `Taken: ${format.toUpperCase()}, ${dimensions.width} × ${dimensions.height}`);
    this.#around.announce(`${name.textContent} was taken`);
    this.#around.onTaken(uploadId);
  }

  /** @param {unknown} error */
  #failed(error) {
    if (!(error instanceof Problem)) throw error;
    const again = error.retryable || error.status === 401;
    this.#become(again ? "failed" : "refused", error.title, error.detail);
    this.#around.announce(`${this.#file.name}: ${error.words}`);
  }

  /**
   * @param {keyof typeof ACTIONS} state
   * @param {string} words
   * @param {string} [detail]
   */
  #become(state, words, detail = "") {
    const { actions, progress } = this.#parts;
    const focused = actions.contains(document.activeElement);
    this.root.dataset.state = state;
    this.#parts.words.textContent = words;
    this.#parts.detail.textContent = detail;
    progress.hidden = !["waiting", "sending", "checking"].includes(state);
    const offered = /** @type {readonly string[]} */ (ACTIONS[state]);
    for (const name of ["cancel", "retry", "open"]) this.#parts[name].hidden = !offered.includes(name);
    if (focused && offered[0]) this.#parts[offered[0]].focus(); // or the keyboard's place would be lost
  }

  #preview() {
    const { preview } = this.#parts;
    const url = URL.createObjectURL(this.#file);
    const release = () => URL.revokeObjectURL(url);
    preview.onload = release;
    preview.onerror = () => {
      preview.hidden = true;
      release();
    };
    preview.src = url;
  }
}
