/** One recent upload: a link to its details. */

import { cloneTemplate, partsOf } from "./dom.js";
import { formatPixels, formatTime } from "./formatting.js";
import { loadImage, paintPlaceholder } from "./frame.js";

export class Tile {
  #parts;

  /** @param {import("./api.js").Upload} upload */
  constructor({ uploadId, createdAt, dimensions, placeholder, urls }) {
    this.root = cloneTemplate("tile-template");
    this.#parts = partsOf(this.root);
    const { link, frame, image, created } = this.#parts;
    const url = Object.values(urls)[0]?.webp; // which warm-ups derive by default
    link.href = `#${uploadId}`;
    created.textContent = formatTime(createdAt);
    created.dateTime = createdAt;
    this.#parts.dimensions.textContent = formatPixels(dimensions);
    paintPlaceholder(frame, placeholder);
    if (url) loadImage(frame, image, url);
  }

  /** @param {import("./api.js").Upload} upload */
  update({ status }) {
    this.#parts.status.textContent = status;
    this.#parts.status.dataset.status = status;
  }
}
