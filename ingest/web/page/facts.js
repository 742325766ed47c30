/** The facts about an upload: everything except its variants. */

import { partsOf } from "./dom.js";
import { formatBytes, formatPixels, formatTime } from "./formatting.js";
import { paintPlaceholder } from "./frame.js";
import { nameOf } from "./names.js";

/**
 * @param {HTMLElement} root
 * @param {import("./api.js").Upload} upload
 */
export function showFacts(root, upload) {
  const { uploadId, format, dimensions, originalSize, createdAt, placeholder, privacy, focus, owner } = upload;
  const parts = partsOf(root);
  parts.id.textContent = uploadId;
  fill(parts.name, nameOf(upload));
  fill(parts.owner, owner);
  parts.original.textContent = `${format.toUpperCase()}, ${formatPixels(dimensions)}, ${formatBytes(originalSize)}`;
  parts.created.textContent = formatTime(createdAt);
  parts.created.dateTime = createdAt;
  parts.color.textContent = placeholder.color;
  paintPlaceholder(parts.swatch, placeholder);
  fill(parts.focus, focus);
  fill(parts.privacy, privacy && describePrivacy(privacy));
}

/**
 * Writes a fact, or hides its row if `text` is empty.
 * @param {HTMLElement} part
 * @param {string | null | undefined} text
 */
function fill(part, text) {
  part.textContent = text || "";
  /** @type {HTMLElement} */ (part.closest("div")).hidden = !text;
}

/** @param {import("./api.js").Privacy | null | undefined} privacy */
function describePrivacy(privacy) {
  const { removed = [], kept = [] } = privacy ?? {};
  const sentences = [
    removed.length ? `Removed from the variants: ${removed.join(", ")}.` : "",
    kept.length ? `Kept in the variants: ${kept.join(", ")}.` : "",
  ];
  return sentences.filter(Boolean).join(" ") || "The original has no private metadata.";
}
