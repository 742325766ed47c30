/** Questions that have to be answered before anything else. */

/**
 * Opens a dialog with a form, whose button for yes has the value "yes".
 *
 * The answer is taken from the form and from Escape, not from the event `close`: that one comes some time after the
 * dialog has closed, when the next question may be open already.
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
