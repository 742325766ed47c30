/** Names of uploads: the file's name, which this page stores as `metadata.fileName`, or the application's id. */

const MAX_LENGTH = 255;

/**
 * A file's name as metadata can hold it: without control characters and halves of surrogate pairs.
 * @param {string} name
 */
export function toFileName(name) {
  return [...name.replace(/[\p{Cc}\p{Cs}]/gu, "")].slice(0, MAX_LENGTH).join("");
}

/**
 * The upload's name; empty if it has none.
 * @param {import("./api.js").Upload} upload
 */
export function nameOf({ metadata, externalId }) {
  const name = metadata?.fileName;
  return (typeof name === "string" && name) || (externalId ?? "");
}
