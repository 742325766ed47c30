/** The facts about an upload: everything but its variants. */

import { partsOf } from "./dom.js";
import { formatBytes, formatPixels, formatTime } from "./formatting.js";
import { paintPlaceholder } from "./frame.js";

/**
 * @param {HTMLElement} root
 * @param {import("./api.js").Upload} upload
 */
export function showFacts(root, upload) {
  const { uploadId, format, dimensions, originalSize, createdAt, placeholder, privacy, focus } = upload;
  const parts = partsOf(root);
  parts.id.textContent = uploadId;
  parts.original.textContent = `${format.toUpperCase()}, ${formatPixels(dimensions)}, ${formatBytes(originalSize)}`;
  parts.created.textContent = formatTime(createdAt);
  parts.created.dateTime = createdAt;
  parts.color.textContent = placeholder.color;
  paintPlaceholder(parts.swatch, placeholder);
  parts.focus.textContent = focus ?? "";
  parts.focus.closest("div").hidden = !focus;
  parts.privacy.textContent = describePrivacy(privacy);
  parts.privacy.closest("div").hidden = !privacy;
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
