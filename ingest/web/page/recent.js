/** The list of recent uploads, in pages, or those that a search finds. */

import { partsOf } from "./dom.js";
import { hasEnded } from "./follow.js";
import { Problem } from "./problem.js";
import { search } from "./search.js";
import { Selection } from "./selection.js";
import { Tile } from "./tile.js";

const LIMIT = 12;
// Milliseconds between two refreshes while a listed warm-up is running; each wait is twice the one before.
const FIRST_WAIT = 2000;
const LONGEST_WAIT = 60_000;

/**
 * @typedef {object} Context
 * @property {import("./api.js").Api} api
 * @property {import("./access.js").Access} access
 * @property {import("./previews.js").Previews} previews
 * @property {HTMLDialogElement} confirmation
 * @property {(message: string) => void} announce
 * @property {(ids: string[], message: string) => void} onDeleted called after several uploads were deleted
 */

export class Recent {
  #parts;
  #context;
  #selection;
  #filter = { query: "", owner: "" };
  /** @type {(string | null)[]} cursors of the pages up to this one */
  #cursors = [null];
  /** @type {string | null} */
  #olderCursor = null;
  #latestRefresh = 0;
  /** @type {Map<string, Tile>} by id, in list order */
  #tiles = new Map();

  /**
   * @param {HTMLElement} root
   * @param {Context} context
   */
  constructor(root, context) {
    this.#parts = partsOf(root);
    this.#context = context;
    const { older, newer, retry, filters, showAll, selection } = this.#parts;
    this.#selection = new Selection(selection, { ...context, onClear: () => this.#updateSelection() });
    older.addEventListener("click", () => {
      if (this.#olderCursor === this.#cursors.at(-1)) return; // a second click, before the page is there
      this.#goTo([...this.#cursors, this.#olderCursor]);
    });
    newer.addEventListener("click", () => this.#goTo(this.#cursors.slice(0, -1)));
    retry.addEventListener("click", () => this.refresh());
    filters.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      this.#search();
    });
    showAll.addEventListener("click", () => {
      filters.reset();
      this.#search();
    });
  }

  /** Unselects uploads that were deleted, and reloads the list. */
  onDeleted(/** @type {string[]} */ ids) {
    this.#selection.forget(ids);
    this.refresh();
  }

  /**
   * Reloads the current page, and repeats while a listed warm-up is running.
   * @param {number} [wait] milliseconds
   */
  async refresh(wait = FIRST_WAIT) {
    const current = ++this.#latestRefresh;
    try {
      const page = await this.#load();
      const images = await this.#context.previews.add(page.images);
      if (current !== this.#latestRefresh) return; // superseded by a later refresh
      if (!images.length && this.#cursors.length > 1) {
        this.#cursors.pop(); // the page's last upload was deleted
        return this.refresh();
      }
      this.#show(images, page);
      if (this.#filter.query || images.every(hasEnded)) return;
      setTimeout(() => current === this.#latestRefresh && this.refresh(Math.min(2 * wait, LONGEST_WAIT)), wait);
    } catch (error) {
      if (current === this.#latestRefresh) this.#onError(error);
    }
  }

  /** @returns {Promise<import("./api.js").Page & {found?: string}>} `found`: what a search compared */
  async #load() {
    const { api } = this.#context;
    const { query, owner } = this.#filter;
    if (!query) return api.list(LIMIT, this.#cursors.at(-1) ?? null, { owner });
    const { images, searched, isComplete } = await search(api, { query, owner });
    const where = isComplete ? "" : ` among the newest ${searched.toLocaleString("en")}`;
    return { images, cursor: null, found: `${images.length} ${images.length === 1 ? "upload" : "uploads"} found${where}.` };
  }

  async #search() {
    const { query, owner, found, title } = this.#parts;
    this.#filter = { query: query.value.trim(), owner: owner.value.trim() };
    this.#cursors = [null];
    await this.refresh();
    if (this.#filter.query) this.#context.announce(found.textContent);
    else title.focus();
  }

  /** @param {(string | null)[]} cursors */
  async #goTo(cursors) {
    this.#cursors = cursors;
    await this.refresh();
    if (cursors !== this.#cursors) return; // superseded by a later click
    this.#parts.title.focus();
    this.#context.announce(`Page ${cursors.length} of recent uploads`);
  }

  /**
   * @param {import("./previews.js").Shown[]} images
   * @param {{cursor: string | null, found?: string}} page
   */
  #show(images, { cursor, found }) {
    const { list, empty, older, newer, problem, number, showAll } = this.#parts;
    const isFiltered = Boolean(this.#filter.query || this.#filter.owner);
    this.#olderCursor = cursor;
    this.#showTiles(list, images);
    problem.hidden = true;
    empty.hidden = images.length > 0;
    empty.textContent = isFiltered ? "No upload matches." : "No uploads yet.";
    showAll.hidden = !isFiltered;
    this.#parts.found.hidden = !found;
    this.#parts.found.textContent = found ?? "";
    older.hidden = cursor === null;
    newer.hidden = this.#cursors.length === 1;
    number.textContent = older.hidden && newer.hidden ? "" : `Page ${this.#cursors.length}`;
  }

  /**
   * Replaces the tiles only if the list changed, because one of them may have the keyboard focus.
   * @param {HTMLElement} list
   * @param {import("./previews.js").Shown[]} images
   */
  #showTiles(list, images) {
    const before = [...this.#tiles.values()];
    const tiles = images.map((upload) => {
      const known = this.#tiles.get(upload.uploadId);
      return known?.shows(upload) ? known : new Tile(upload, (checked) => this.#selection.set(upload, checked));
    });
    this.#tiles = new Map(images.map(({ uploadId }, index) => [uploadId, tiles[index]]));
    images.forEach((upload, index) => tiles[index].update(upload));
    this.#updateSelection();
    const isSame = before.length === tiles.length && before.every((tile, index) => tile === tiles[index]);
    if (!isSame) list.replaceChildren(...tiles.map(({ root }) => root));
  }

  #updateSelection() {
    for (const [id, tile] of this.#tiles) tile.selected = this.#selection.has(id);
  }

  /** @param {unknown} error */
  #onError(error) {
    if (!(error instanceof Problem)) throw error;
    this.#parts.problem.hidden = false;
    this.#parts.text.textContent = error.text;
  }
}
