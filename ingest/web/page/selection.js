/** The selected recent uploads, also of other pages of the list: copies their ids and URLs, and deletes them. */

import { copyOnClick } from "./clipboard.js";
import { confirmDeletion } from "./dialog.js";
import { partsOf } from "./dom.js";
import { Problem } from "./problem.js";

export class Selection {
  #root;
  #parts;
  #context;
  /** @type {Map<string, import("./api.js").Upload>} by id */
  #uploads = new Map();

  /**
   * @param {HTMLElement} root
   * @param {object} context
   * @param {import("./api.js").Api} context.api
   * @param {import("./access.js").Access} context.access
   * @param {HTMLDialogElement} context.confirmation
   * @param {(message: string) => void} context.announce
   * @param {(ids: string[], message: string) => void} context.onDeleted
   * @param {() => void} context.onClear
   */
  constructor(root, context) {
    this.#root = root;
    this.#parts = partsOf(root);
    this.#context = context;
    const { copyIds, copyUrls, removeSelected, unselect } = this.#parts;
    copyOnClick(copyIds, () => [...this.#uploads.keys()].join("\n"), context.announce);
    copyOnClick(copyUrls, () => [...this.#uploads.values()].map(largestUrl).join("\n"), context.announce);
    removeSelected.addEventListener("click", () => this.#remove());
    unselect.addEventListener("click", () => {
      this.forget([...this.#uploads.keys()]);
      context.onClear();
    });
    context.access.addEventListener("change", () => this.#update());
  }

  /** @param {string} id */
  has(id) {
    return this.#uploads.has(id);
  }

  /**
   * @param {import("./api.js").Upload} upload
   * @param {boolean} isSelected
   */
  set(upload, isSelected) {
    if (isSelected) this.#uploads.set(upload.uploadId, upload);
    else this.#uploads.delete(upload.uploadId);
    this.#update();
  }

  /** Unselects uploads that were deleted. */
  forget(/** @type {string[]} */ ids) {
    for (const id of ids) this.#uploads.delete(id);
    this.#update();
  }

  #update() {
    const { size } = this.#uploads;
    this.#root.hidden = size === 0;
    this.#parts.failure.hidden ||= size === 0;
    this.#parts.count.textContent = `${size} selected`;
    this.#parts.removeSelected.hidden = !this.#context.access.allows("delete");
  }

  /** Deletes one upload after the other, as many as possible. Those that cannot be deleted stay selected. */
  async #remove() {
    const ids = [...this.#uploads.keys()];
    const { removeSelected, failure } = this.#parts;
    if (!(await confirmDeletion(this.#context.confirmation, ids.length))) return;
    removeSelected.disabled = true; // until all calls have ended
    /** @type {Map<string, Problem>} */
    const problems = new Map();
    for (const id of ids) {
      const problem = await this.#context.api.remove(id).catch(toProblem);
      if (problem && problem.status !== 404) problems.set(id, problem);
    }
    removeSelected.disabled = false;
    const deleted = ids.filter((id) => !problems.has(id));
    const [reason] = problems.values();
    failure.hidden = !reason;
    failure.textContent = reason ? `${problems.size} not deleted: ${reason.text}` : "";
    const count = `${deleted.length} ${deleted.length === 1 ? "upload" : "uploads"} deleted.`;
    this.#context.onDeleted(deleted, [count, failure.textContent].filter(Boolean).join(" "));
  }
}

/** @param {unknown} error */
function toProblem(error) {
  if (error instanceof Problem) return error;
  throw error;
}

/** The absolute URL of the widest size as WebP. Private ones need a token, which the application signs. */
function largestUrl(/** @type {import("./api.js").Upload} */ { urls, sizes }) {
  const widest = Object.keys(urls).sort((one, other) => (sizes?.[other]?.width ?? 0) - (sizes?.[one]?.width ?? 0))[0];
  return new URL(urls[widest].webp ?? Object.values(urls[widest])[0], location.href).href;
}
