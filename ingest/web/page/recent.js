/** The newest uploads, page by page. */

import { partsOf } from "./dom.js";
import { ended } from "./follow.js";
import { Problem } from "./problem.js";
import { Tile } from "./tile.js";

const LIMIT = 12;
const FIRST_WAIT = 2000; // milliseconds until the page is looked at again, while a warm-up on it is under way;
const LONGEST_WAIT = 60_000; // twice as long each time, up to this

export class Recent {
  #parts;
  #api;
  #announce;
  /** @type {(string | null)[]} the cursors of the pages before this one, and its own */
  #trail = [null];
  /** @type {string | null} */
  #older = null;
  #turn = 0;
  /** @type {Map<string, Tile>} by id, in their order */
  #tiles = new Map();

  /**
   * @param {HTMLElement} root
   * @param {{api: import("./api.js").Api, announce: (words: string) => void}} around
   */
  constructor(root, { api, announce }) {
    this.#parts = partsOf(root);
    this.#api = api;
    this.#announce = announce;
    this.#parts.older.addEventListener("click", () => this.#turnTo([...this.#trail, this.#older]));
    this.#parts.newer.addEventListener("click", () => this.#turnTo(this.#trail.slice(0, -1)));
    this.#parts.again.addEventListener("click", () => this.refresh());
  }

  /**
   * Loads the page that is shown anew, and again while there is progress to expect.
   * @param {number} [wait] milliseconds
   */
  async refresh(wait = FIRST_WAIT) {
    const turn = ++this.#turn;
    try {
      const page = await this.#api.newest(LIMIT, this.#trail.at(-1) ?? null);
      if (turn !== this.#turn) return; // a later call has overtaken this one
      if (!page.images.length && this.#trail.length > 1) {
        this.#trail.pop(); // its last upload was deleted
        return this.refresh();
      }
      this.#show(page);
      if (page.images.every(ended)) return;
      setTimeout(() => turn === this.#turn && this.refresh(Math.min(2 * wait, LONGEST_WAIT)), wait);
    } catch (error) {
      if (turn === this.#turn) this.#fail(error);
    }
  }

  /** @param {(string | null)[]} trail */
  async #turnTo(trail) {
    this.#trail = trail;
    await this.refresh();
    this.#parts.title.focus();
    this.#announce(`Page ${trail.length} of recent uploads`);
  }

  /** @param {import("./api.js").Page} page */
  #show({ images, cursor }) {
    const { list, empty, older, newer, problem, number } = this.#parts;
    this.#older = cursor;
    this.#arrange(list, images);
    problem.hidden = true;
    empty.hidden = images.length > 0;
    older.hidden = cursor === null;
    newer.hidden = this.#trail.length === 1;
    number.textContent = older.hidden && newer.hidden ? "" : `Page ${this.#trail.length}`;
  }

  /**
   * Leaves the tiles alone where they are the same as before: the keyboard may be on one of them.
   * @param {HTMLElement} list
   * @param {import("./api.js").Upload[]} images
   */
  #arrange(list, images) {
    const before = [...this.#tiles.keys()].join();
    const tiles = images.map((upload) => this.#tiles.get(upload.uploadId) ?? new Tile(upload));
    this.#tiles = new Map(images.map(({ uploadId }, index) => [uploadId, tiles[index]]));
    images.forEach((upload, index) => tiles[index].update(upload));
    if ([...this.#tiles.keys()].join() !== before) list.replaceChildren(...tiles.map(({ root }) => root));
  }

  /** @param {unknown} error */
  #fail(error) {
    if (!(error instanceof Problem)) throw error;
    this.#parts.problem.hidden = false;
    this.#parts.words.textContent = error.words;
  }
}
