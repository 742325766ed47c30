/** One upload, opened: facts, warm-up, comparison, gallery, snippet, and its end. */

import { Compare } from "./compare.js";
import { ask } from "./dialog.js";
import { partsOf } from "./dom.js";
import { showFacts } from "./facts.js";
import { ended, follow } from "./follow.js";
import { Gallery } from "./gallery.js";
import { Problem } from "./problem.js";
import { Snippet } from "./snippet.js";
import { WarmUpView, wordsFor } from "./warmup.js";

const PATIENCE = 3000; // milliseconds; where no warm-up has begun by then, looking derives what is looked at

/**
 * @typedef {object} Surroundings
 * @property {import("./api.js").Api} api
 * @property {HTMLDialogElement} confirmation asked before a deletion
 * @property {(words: string) => void} announce
 * @property {(id: string, words: string) => void} onDeleted
 */

export class PictureView {
  #root;
  #parts;
  #around;
  #gallery;
  #compare;
  #snippet;
  #warmup;
  #following = new AbortController();
  /** @type {string | null} */
  #id = null;

  /**
   * @param {HTMLElement} root
   * @param {Surroundings} around
   */
  constructor(root, around) {
    this.#root = root;
    this.#parts = partsOf(root);
    this.#around = around;
    this.#gallery = new Gallery(this.#parts.gallery, around.announce);
    this.#compare = new Compare(this.#parts.compare);
    this.#snippet = new Snippet(this.#parts.embed, around.announce);
    this.#warmup = new WarmUpView(this.#parts.warmup);
    this.#parts.remove.addEventListener("click", () => this.#remove());
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
   * Shows an upload and follows its warm-up to the end, or until another is opened.
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
      const upload = await this.#around.api.upload(id, signal);
      this.#show(upload);
      await this.#follow(id, signal);
    } catch (error) {
      if (!signal.aborted) this.#fail(error);
    }
  }

  /** @param {import("./api.js").Upload} upload */
  #show(upload) {
    showFacts(this.#parts.facts, upload);
    this.#snippet.show(upload);
    this.#compare.show(upload);
    this.#gallery.show(upload);
    this.#parts.content.hidden = false;
  }

  /**
   * @param {string} id
   * @param {AbortSignal} signal
   */
  async #follow(id, signal) {
    /** @type {import("./api.js").Status | null} */
    let latest = null;
    let news = false; // an upload that was warm before it was opened is none
    const timer = setTimeout(() => latest?.status === "pending" && this.#update(latest, true), PATIENCE);
    signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    for await (latest of follow(this.#around.api, id, signal)) {
      this.#update(latest, ended(latest));
      if (ended(latest) && news) this.#around.announce(wordsFor(latest));
      news = !ended(latest);
    }
  }

  /**
   * @param {import("./api.js").Status} status
   * @param {boolean} all whether to show also what nothing has derived yet
   */
  #update(status, all) {
    this.#warmup.update(status);
    this.#compare.update(status.variants, all);
    this.#gallery.update(status.variants, all);
  }

  /** @param {unknown} error */
  #fail(error) {
    if (!(error instanceof Problem)) throw error;
    const { content, problem } = this.#parts;
    content.hidden ||= error.status === 404;
    problem.hidden = false;
    problem.textContent = error.words;
    this.#around.announce(error.words);
  }

  async #remove() {
    const id = this.#id;
    if (!id || !(await ask(this.#around.confirmation))) return;
    try {
      await this.#around.api.remove(id);
      this.#around.onDeleted(id, "Deleted: the original and every variant.");
    } catch (error) {
      if (error instanceof Problem && error.status === 404) this.#around.onDeleted(id, "It was deleted already.");
      else if (this.#id === id) this.#fail(error); // and not beside another that was opened meanwhile
    }
  }
}
