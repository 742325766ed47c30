/** What is known of an upload beside its variants. */

import { partsOf } from "./dom.js";
import { paint } from "./frame.js";
import { bytes, moment, pixels } from "./words.js";

/**
 * @param {HTMLElement} root
 * @param {import("./api.js").Upload} upload
 */
export function showFacts(root, { uploadId, format, dimensions, originalSize, createdAt, placeholder, privacy }) {
  const parts = partsOf(root);
  parts.id.textContent = uploadId;
  parts.original.textContent = `${format.toUpperCase()}, ${pixels(dimensions)}, ${bytes(originalSize)}`;
  parts.created.textContent = moment(createdAt);
  parts.created.dateTime = createdAt;
  parts.color.textContent = placeholder.color;
  paint(parts.swatch, placeholder);
  parts.privacy.textContent = privacyWords(privacy);
  parts.privacy.closest("div").hidden = !privacy;
}

/** @param {import("./api.js").Privacy | null | undefined} privacy */
function privacyWords(privacy) {
  const { removed = [], kept = [] } = privacy ?? {};
  const sentences = [
    removed.length ? `Not in the variants: ${removed.join(", ")}.` : "",
    kept.length ? `Kept in the variants: ${kept.join(", ")}.` : "",
  ];
  return sentences.filter(Boolean).join(" ") || "The original carries no private metadata.";
}
