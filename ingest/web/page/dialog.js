/** Modal dialogs with a yes or no answer. */

import { partsOf } from "./dom.js";

/**
 * Opens a dialog with a form whose button for yes has the value "yes".
 *
 * Reads the answer from the form's submission and from Escape. The event `close` fires later, when the next dialog may
 * already be open.
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<boolean>} false for any other button and for Escape
 */
export function ask(dialog) {
  const answered = new AbortController();
  const { signal } = answered;
  dialog.showModal();
  return new Promise((resolve) => {
    const answer = (/** @type {boolean} */ yes) => {
      answered.abort();
      resolve(yes);
    };
    dialog.addEventListener("submit", ({ submitter }) => answer(submitter?.getAttribute("value") === "yes"), { signal });
    dialog.addEventListener("cancel", () => answer(false), { signal });
  });
}

/**
 * Asks whether to delete uploads.
 * @param {HTMLDialogElement} dialog
 * @param {number} count
 */
export function confirmDeletion(dialog, count) {
  const { title, text } = partsOf(dialog);
  const [these, their] = count === 1 ? ["this upload", "the original"] : [`${count} uploads`, "their originals"];
  title.textContent = `Delete ${these}?`;
  text.textContent = `This deletes ${their} and every variant. This can't be undone.`;
  return ask(dialog);
}
