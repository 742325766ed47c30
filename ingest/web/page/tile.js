/** One of the recent uploads: a link to it. */

import { partsOf, stamp } from "./dom.js";
import { develop, paint } from "./frame.js";
import { moment, pixels } from "./words.js";

export class Tile {
  #parts;

  /** @param {import("./api.js").Upload} upload */
  constructor({ uploadId, createdAt, dimensions, placeholder, urls }) {
    this.root = stamp("tile-template");
    this.#parts = partsOf(this.root);
    const { link, frame, picture, created } = this.#parts;
    const [url] = Object.values(Object.values(urls)[0] ?? {});
    link.href = `#${uploadId}`;
    created.textContent = moment(createdAt);
    created.dateTime = createdAt;
    this.#parts.dimensions.textContent = pixels(dimensions);
    paint(frame, placeholder);
    if (url) develop(frame, picture, url);
  }

  /** @param {import("./api.js").Upload} upload */
  update({ status }) {
    this.#parts.status.textContent = status;
    this.#parts.status.dataset.status = status;
  }
}
