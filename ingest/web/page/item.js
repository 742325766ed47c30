/** One file in the upload queue: preview, progress, errors, and the actions that its state allows. */

import { cloneTemplate, partsOf } from "./dom.js";
import { formatBytes, formatPixels } from "./formatting.js";
import { Problem } from "./problem.js";
import { upload } from "./upload.js";

/** The buttons of each state. */
const ACTIONS = /** @type {const} */ ({
  waiting: ["cancel"],
  sending: ["cancel"],
  checking: ["cancel"],
  uploaded: ["open", "dismiss"],
  cancelled: ["retry", "dismiss"],
  failed: ["retry", "dismiss"],
  rejected: ["dismiss"],
});

/**
 * @typedef {object} Context
 * @property {import("./key.js").Keyring} keyring
 * @property {<T>(task: () => Promise<T>) => Promise<T>} limit
 * @property {(message: string) => void} announce
 * @property {() => boolean} canOpen whether the key may read uploads
 * @property {(id: string) => void} onUploaded
 */

export class Item {
  #file;
  #context;
  #parts;
  #sending = new AbortController();

  /**
   * @param {File} file
   * @param {Context} context
   */
  constructor(file, context) {
    this.#file = file;
    this.#context = context;
    this.root = cloneTemplate("item-template");
    this.#parts = partsOf(this.root);
    this.#parts.name.textContent = file.name;
    this.#parts.size.textContent = formatBytes(file.size);
    this.#parts.progress.setAttribute("aria-label", `Upload of ${file.name}`);
    this.#parts.dismiss.setAttribute("aria-label", `Dismiss ${file.name}`);
    this.#parts.cancel.addEventListener("click", () => this.#sending.abort());
    this.#parts.retry.addEventListener("click", () => this.start());
    this.#parts.dismiss.addEventListener("click", () => this.#dismiss());
    this.#showPreview();
  }

  /** Waits for a free slot, uploads the file, and shows the result. */
  async start() {
    const { signal } = (this.#sending = new AbortController());
    this.#setState("waiting", "Waiting");
    signal.addEventListener("abort", () => this.#setState("cancelled", "Cancelled"), { once: true });
    try {
      this.#onUploaded(await this.#context.limit(() => this.#send(signal)));
    } catch (error) {
      if (!signal.aborted) this.#onError(error);
    }
  }

  /** @param {AbortSignal} signal */
  #send(signal) {
    signal.throwIfAborted();
    const options = { keyring: this.#context.keyring, signal, onProgress: this.#onProgress };
    this.#onProgress(0);
    return upload(this.#file, options);
  }

  #onProgress = (/** @type {number} */ share) => {
    this.#parts.progress.value = share;
    if (share < 1) this.#setState("sending", `Uploading, ${Math.floor(100 * share)}%`);
    else this.#setState("checking", "The server checks the file");
  };

  /** @param {import("./api.js").Upload} upload */
  #onUploaded({ uploadId, format, dimensions }) {
    const { name, open } = this.#parts;
    open.href = `#${uploadId}`;
    open.setAttribute("aria-label", `Open ${name.textContent}`);
    const text = `Uploaded: ${format.toUpperCase()}, ${formatPixels(dimensions)}`;
    this.#setState("uploaded", text, this.#context.canOpen() ? "" : `ID: ${uploadId}`);
    this.#context.announce(`${name.textContent} uploaded`);
    this.#context.onUploaded(uploadId);
  }

  /** @param {unknown} error */
  #onError(error) {
    if (!(error instanceof Problem)) throw error;
    const canRetry = error.retryable || error.status === 401;
    this.#setState(canRetry ? "failed" : "rejected", error.title, error.detail);
    this.#context.announce(`${this.#file.name}: ${error.text}`);
  }

  /**
   * @param {keyof typeof ACTIONS} state
   * @param {string} text
   * @param {string} [detail]
   */
  #setState(state, text, detail = "") {
    const { actions, progress } = this.#parts;
    const focused = actions.contains(document.activeElement);
    this.root.dataset.state = state;
    this.#parts.text.textContent = text;
    this.#parts.detail.textContent = detail;
    progress.hidden = !["waiting", "sending", "checking"].includes(state);
    const shown = ACTIONS[state].filter((name) => name !== "open" || this.#context.canOpen());
    for (const name of /** @type {const} */ (["cancel", "retry", "open", "dismiss"])) this.#parts[name].hidden = !shown.includes(name);
    if (focused && shown[0]) this.#parts[shown[0]].focus(); // keeps the keyboard's position in the page
  }

  /** Removes the row. The keyboard's position moves to the next row, or to the file input. */
  #dismiss() {
    const next = this.root.nextElementSibling ?? this.root.previousElementSibling;
    this.root.remove();
    const target = next?.querySelector("button:not([hidden]), a:not([hidden])") ?? document.getElementById("image");
    /** @type {HTMLElement | null} */ (target)?.focus();
  }

  #showPreview() {
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
