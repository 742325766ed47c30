/** Files that the user chooses, drops or pastes. */

import { byId } from "./dom.js";

/**
 * Replaces the form's own submission, which works without JavaScript.
 * @param {(files: File[]) => void} onFiles
 */
export function listenForFiles(onFiles) {
  const input = byId("image");
  const zone = byId("drop-zone");
  byId("submit").hidden = true;
  input.multiple = true;
  input.required = false;
  input.addEventListener("change", () => {
    onFiles([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", ({ clipboardData }) => onFiles([...(clipboardData?.files ?? [])]));
  document.addEventListener("dragover", (event) => highlight(zone, event));
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) delete zone.dataset.over; // the pointer left the window, not only one element
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // otherwise the browser opens the file in place of the page
    delete zone.dataset.over;
    onFiles([...(event.dataTransfer?.files ?? [])]);
  });
}

/**
 * @param {HTMLElement} zone
 * @param {DragEvent} event
 */
function highlight(zone, event) {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  zone.dataset.over = "";
}
