/** Questions that have to be answered before anything else. */

/**
 * Opens a dialog whose button for yes has the value "yes".
 * @param {HTMLDialogElement} dialog
 * @returns {Promise<boolean>} false for the other button and for Escape
 */
export function ask(dialog) {
  dialog.returnValue = ""; // Escape keeps what was answered the last time
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
