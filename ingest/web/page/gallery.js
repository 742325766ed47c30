/** All variants of an upload, by size. Sizes and formats are those that the API names. */

import { Card } from "./card.js";
import { partsOf, stamp } from "./dom.js";

export class Gallery {
  #root;
  #announce;
  /** @type {Map<string, Card[]>} by size */
  #cards = new Map();

  /**
   * @param {HTMLElement} root
   * @param {(words: string) => void} announce
   */
  constructor(root, announce) {
    this.#root = root;
    this.#announce = announce;
  }

  /** @param {import("./api.js").Upload} upload */
  show({ urls, placeholder }) {
    const groups = Object.entries(urls).map(([size, formats]) => {
      const cards = Object.entries(formats).map(
        ([format, url]) => new Card({ size, format, url }, placeholder, this.#announce),
      );
      return { size, cards };
    });
    this.#cards = new Map(groups.map(({ size, cards }) => [size, cards]));
    this.#root.replaceChildren(...groups.map(({ size, cards }) => section(size, cards)));
  }

  /**
   * @param {Record<string, import("./api.js").Variant>} variants by name
   * @param {boolean} all whether to ask for those, too, that nothing has derived yet
   */
  update(variants, all) {
    for (const cards of this.#cards.values()) {
      const heaviest = Math.max(1, ...cards.map(({ name }) => variants[name]?.bytes ?? 0));
      for (const card of cards) {
        const known = variants[card.name];
        if (known) card.show(known, heaviest);
        if (all || known?.state === "stored") card.reveal();
      }
    }
  }
}

/**
 * @param {string} size
 * @param {Card[]} cards
 */
function section(size, cards) {
  const root = stamp("size-template");
  const { title, list } = partsOf(root);
  title.textContent = size;
  list.append(...cards.map((card) => card.root));
  return root;
}
