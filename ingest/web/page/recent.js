/** The list of recent uploads, in pages. */

import { partsOf } from "./dom.js";
import { hasEnded } from "./follow.js";
import { Problem } from "./problem.js";
import { Tile } from "./tile.js";

const LIMIT = 12;
// Milliseconds between two refreshes while a listed warm-up is running; each wait is twice the one before.
const FIRST_WAIT = 2000;
const LONGEST_WAIT = 60_000;

export class Recent {
  #parts;
  #api;
  #announce;
  /** @type {(string | null)[]} cursors of the pages up to this one */
  #cursors = [null];
  /** @type {string | null} */
  #olderCursor = null;
  #latestRefresh = 0;
  /** @type {Map<string, Tile>} by id, in list order */
  #tiles = new Map();

  /**
   * @param {HTMLElement} root
   * @param {{api: import("./api.js").Api, announce: (message: string) => void}} context
   */
  constructor(root, { api, announce }) {
    this.#parts = partsOf(root);
    this.#api = api;
    this.#announce = announce;
    this.#parts.older.addEventListener("click", () => this.#goTo([...this.#cursors, this.#olderCursor]));
    this.#parts.newer.addEventListener("click", () => this.#goTo(this.#cursors.slice(0, -1)));
    this.#parts.retry.addEventListener("click", () => this.refresh());
  }

  /**
   * Reloads the current page, and repeats while a listed warm-up is running.
   * @param {number} [wait] milliseconds
   */
  async refresh(wait = FIRST_WAIT) {
    const current = ++this.#latestRefresh;
    try {
      const page = await this.#api.list(LIMIT, this.#cursors.at(-1) ?? null);
      if (current !== this.#latestRefresh) return; // superseded by a later refresh
      if (!page.images.length && this.#cursors.length > 1) {
        this.#cursors.pop(); // the page's last upload was deleted
        return this.refresh();
      }
      this.#show(page);
      if (page.images.every(hasEnded)) return;
      setTimeout(() => current === this.#latestRefresh && this.refresh(Math.min(2 * wait, LONGEST_WAIT)), wait);
    } catch (error) {
      if (current === this.#latestRefresh) this.#onError(error);
    }
  }

  /** @param {(string | null)[]} cursors */
  async #goTo(cursors) {
    this.#cursors = cursors;
    await this.refresh();
    this.#parts.title.focus();
    this.#announce(`Page ${cursors.length} of recent uploads`);
  }

  /** @param {import("./api.js").Page} page */
  #show({ images, cursor }) {
    const { list, empty, older, newer, problem, number } = this.#parts;
    this.#olderCursor = cursor;
    this.#showTiles(list, images);
    problem.hidden = true;
    empty.hidden = images.length > 0;
    older.hidden = cursor === null;
    newer.hidden = this.#cursors.length === 1;
    number.textContent = older.hidden && newer.hidden ? "" : `Page ${this.#cursors.length}`;
  }

  /**
   * Replaces the tiles only if the list changed, because one of them may have the keyboard focus.
   * @param {HTMLElement} list
   * @param {import("./api.js").Upload[]} images
   */
  #showTiles(list, images) {
    const before = [...this.#tiles.keys()].join();
    const tiles = images.map((upload) => this.#tiles.get(upload.uploadId) ?? new Tile(upload));
    this.#tiles = new Map(images.map(({ uploadId }, index) => [uploadId, tiles[index]]));
    images.forEach((upload, index) => tiles[index].update(upload));
    if ([...this.#tiles.keys()].join() !== before) list.replaceChildren(...tiles.map(({ root }) => root));
  }

  /** @param {unknown} error */
  #onError(error) {
    if (!(error instanceof Problem)) throw error;
    this.#parts.problem.hidden = false;
    this.#parts.text.textContent = error.text;
  }
}
