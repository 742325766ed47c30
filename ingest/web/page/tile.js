/** One recent upload: a link to its details, and a checkbox that selects it. */

import { cloneTemplate, partsOf } from "./dom.js";
import { formatPixels, formatTime } from "./formatting.js";
import { forgetFailure, loadImage, paintPlaceholder } from "./frame.js";
import { nameOf } from "./names.js";

export class Tile {
  #parts;
  #url;

  /**
   * @param {import("./previews.js").Shown} upload
   * @param {(checked: boolean) => void} onSelect
   */
  constructor(upload, onSelect) {
    const { uploadId, createdAt, dimensions, placeholder, owner } = upload;
    this.root = cloneTemplate("tile-template");
    this.#parts = partsOf(this.root);
    const { link, frame, image, created, name, id, again, selected } = this.#parts;
    this.#url = urlOf(upload);
    const title = nameOf(upload) || uploadId;
    link.href = `#${uploadId}`;
    name.textContent = nameOf(upload) || "No file name";
    link.title = [title, uploadId, owner].filter(Boolean).join("\n");
    id.textContent = uploadId.slice(0, 8);
    created.textContent = formatTime(createdAt);
    created.dateTime = createdAt;
    this.#parts.dimensions.textContent = formatPixels(dimensions);
    selected.setAttribute("aria-label", `Select ${title}`);
    selected.addEventListener("change", () => onSelect(selected.checked));
    again.addEventListener("click", async () => {
      link.focus(); // the button disappears
      this.#url = urlOf({ previews: await upload.renew() });
      forgetFailure(image);
      this.#load();
    });
    paintPlaceholder(frame, placeholder);
    this.#load();
  }

  /** Whether the tile still shows what the upload's own URLs lead to. */
  shows(/** @type {import("./previews.js").Shown} */ upload) {
    return this.#url === urlOf(upload);
  }

  /** @param {import("./api.js").Upload} upload */
  update({ status, visibility }) {
    this.#parts.status.textContent = status;
    this.#parts.status.dataset.status = status;
    this.#parts.private.hidden = visibility !== "private";
  }

  /** @param {boolean} value */
  set selected(value) {
    this.#parts.selected.checked = value;
  }

  #load() {
    if (this.#url) loadImage(this.#parts.frame, this.#parts.image, this.#url);
  }
}

/** The first size as WebP, which warm-ups derive by default; without WebP, its last format. */
function urlOf(/** @type {{previews: import("./api.js").Urls}} */ { previews }) {
  const formats = Object.values(previews)[0] ?? {};
  return formats.webp ?? Object.values(formats).at(-1);
}
