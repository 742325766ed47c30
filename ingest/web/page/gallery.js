/** All variants of an upload, by size. The API names the sizes and formats. */

import { Card } from "./card.js";
import { cloneTemplate, partsOf } from "./dom.js";

export class Gallery {
  #root;
  #announce;
  /** @type {Map<string, Card[]>} by size */
  #cards = new Map();

  /**
   * @param {HTMLElement} root
   * @param {(message: string) => void} announce
   */
  constructor(root, announce) {
    this.#root = root;
    this.#announce = announce;
  }

  /** @param {import("./previews.js").Shown} upload */
  show(upload) {
    const groups = Object.entries(upload.urls).map(([size, formats]) => {
      const cards = Object.keys(formats).map((format) => new Card(size, format, upload, this.#announce));
      return { size, cards };
    });
    this.#cards = new Map(groups.map(({ size, cards }) => [size, cards]));
    this.#root.replaceChildren(...groups.map(({ size, cards }) => buildSection(size, cards)));
  }

  /**
   * @param {Record<string, import("./api.js").Variant>} variants by name
   * @param {boolean} loadAll whether to load the variants of the warm-up that are not stored yet
   */
  update(variants, loadAll) {
    for (const cards of this.#cards.values()) {
      const largest = Math.max(1, ...cards.map(({ name }) => variants[name]?.bytes ?? 0));
      for (const card of cards) {
        const variant = variants[card.name];
        if (!variant) card.offer();
        else {
          card.update(variant, largest);
          if (loadAll || variant.state === "stored") card.load();
        }
      }
    }
  }
}

/**
 * @param {string} size
 * @param {Card[]} cards
 */
function buildSection(size, cards) {
  const root = cloneTemplate("size-template");
  const { title, list } = partsOf(root);
  title.textContent = size;
  list.append(...cards.map((card) => card.root));
  return root;
}
