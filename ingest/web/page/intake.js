/** The ways in: chosen, dropped or pasted files. */

import { byId } from "./dom.js";

/**
 * Takes the form over, which would work without us, too.
 * @param {(files: File[]) => void} take
 */
export function takeFiles(take) {
  const input = byId("image");
  const zone = byId("drop-zone");
  byId("submit").hidden = true;
  input.multiple = true;
  input.required = false;
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = ""; // so that the same file can be chosen again
  });
  document.addEventListener("paste", ({ clipboardData }) => take([...(clipboardData?.files ?? [])]));
  document.addEventListener("dragover", (event) => highlight(zone, event));
  document.addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) delete zone.dataset.over; // out of the window, not from one element to the next
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault(); // or the browser would leave the page for the file
    delete zone.dataset.over;
    take([...(event.dataTransfer?.files ?? [])]);
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
