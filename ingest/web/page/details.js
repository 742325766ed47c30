/** The details of the opened upload: facts, warm-up, comparison, variants, snippet, changes, deletion. */

import { Changes } from "./changes.js";
import { Compare } from "./compare.js";
import { confirmDeletion } from "./dialog.js";
import { partsOf } from "./dom.js";
import { showFacts } from "./facts.js";
import { follow, hasEnded } from "./follow.js";
import { Gallery } from "./gallery.js";
import { Problem } from "./problem.js";
import { Snippet } from "./snippet.js";
import { describeWarmUp, WarmUpView } from "./warmup.js";

// If no warm-up has begun after so many milliseconds, the page requests all variants, which derives them.
const WARM_UP_TIMEOUT = 3000;

/**
 * @typedef {object} Context
 * @property {import("./api.js").Api} api
 * @property {import("./access.js").Access} access
 * @property {import("./previews.js").Previews} previews
 * @property {HTMLDialogElement} confirmation shown before a deletion
 * @property {(message: string) => void} announce
 * @property {() => void} onChanged
 * @property {(id: string, message: string) => void} onDeleted
 */

export class DetailsView {
  #root;
  #parts;
  #context;
  #gallery;
  #compare;
  #snippet;
  #warmup;
  #changes;
  #following = new AbortController();
  /** @type {string | null} */
  #id = null;

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#root = root;
    this.#parts = partsOf(root);
    this.#context = context;
    this.#gallery = new Gallery(this.#parts.gallery, context.announce);
    this.#compare = new Compare(this.#parts.compare);
    this.#snippet = new Snippet(this.#parts.embed, context.announce);
    this.#warmup = new WarmUpView(this.#parts.warmup);
    const change = this.#change.bind(this);
    this.#changes = new Changes(this.#parts.changes, { access: context.access, change });
    this.#parts.remove.addEventListener("click", () => this.#remove());
    const update = () => (this.#parts.remove.hidden = !context.access.allows("delete"));
    context.access.addEventListener("change", update);
  }

  focus() {
    this.#parts.title.focus();
  }

  close() {
    this.#following.abort();
    this.#id = null;
    this.#root.hidden = true;
  }

  /**
   * Shows an upload and follows its warm-up until it ends or another upload is opened.
   * @param {string} id
   */
  async open(id) {
    this.close();
    this.#following = new AbortController();
    this.#id = id;
    this.#root.hidden = false;
    this.#parts.content.hidden = true;
    this.#parts.problem.hidden = true;
    const { signal } = this.#following;
    try {
      await this.#show(await this.#context.api.upload(id, signal), signal);
    } catch (error) {
      if (!signal.aborted) this.#onError(error);
    }
  }

  /**
   * @param {import("./api.js").Upload} found
   * @param {AbortSignal} signal
   */
  async #show(found, signal) {
    const [upload] = await this.#context.previews.add([found]);
    if (signal.aborted) return;
    showFacts(this.#parts.facts, upload);
    this.#snippet.show(upload);
    this.#compare.show(upload);
    this.#gallery.show(upload);
    this.#changes.show(upload);
    this.#parts.content.hidden = false;
    await this.#follow(upload.uploadId, signal);
  }

  /**
   * @param {string} id
   * @param {AbortSignal} signal
   */
  async #follow(id, signal) {
    /** @type {import("./api.js").Status | null} */
    let latest = null;
    let wasRunning = false; // a warm-up that ended before the upload was opened is not announced
    const timer = setTimeout(() => latest?.status === "pending" && this.#update(latest, true), WARM_UP_TIMEOUT);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    for await (latest of follow(this.#context.api, id, signal)) {
      this.#update(latest, hasEnded(latest));
      if (hasEnded(latest) && wasRunning) this.#context.announce(describeWarmUp(latest));
      wasRunning = !hasEnded(latest);
    }
  }

  /**
   * @param {import("./api.js").Status} status
   * @param {boolean} loadAll whether to load variants that are not stored yet
   */
  #update(status, loadAll) {
    this.#warmup.update(status);
    this.#compare.update(status.variants, loadAll);
    this.#gallery.update(status.variants, loadAll);
  }

  /** @param {unknown} error */
  #onError(error) {
    if (!(error instanceof Problem)) throw error;
    const { content, problem } = this.#parts;
    content.hidden ||= error.status === 404;
    problem.hidden = false;
    problem.textContent = error.text;
    this.#context.announce(error.text);
  }

  /**
   * Changes the opened upload, then shows it again and follows its new warm-up.
   * @param {Parameters<import("./api.js").Api["change"]>[1]} changes
   * @param {string} message announced after the change
   */
  async #change(changes, message) {
    const id = this.#id;
    if (!id) return;
    try {
      const upload = await this.#context.api.change(id, changes);
      this.#context.announce(message);
      this.#context.onChanged();
      if (this.#id !== id) return; // another upload was opened meanwhile
      this.#following.abort();
      const { signal } = (this.#following = new AbortController());
      this.#parts.problem.hidden = true;
      this.#show(upload, signal).catch((error) => signal.aborted || this.#onError(error));
    } catch (error) {
      if (this.#id === id) this.#onError(error);
    }
  }

  async #remove() {
    const id = this.#id;
    if (!id || !(await confirmDeletion(this.#context.confirmation, 1))) return;
    try {
      await this.#context.api.remove(id);
      this.#context.onDeleted(id, "Deleted: the original and every variant.");
    } catch (error) {
      const alreadyDeleted = error instanceof Problem && error.status === 404;
      if (alreadyDeleted) this.#context.onDeleted(id, "This upload was already deleted.");
      else if (this.#id === id) this.#onError(error); // not if another upload was opened meanwhile
    }
  }
}
