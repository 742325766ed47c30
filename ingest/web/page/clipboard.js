/** Buttons that copy text. */

const CONFIRMATION = 2000; // milliseconds that a button shows the result

/**
 * @param {HTMLButtonElement} button
 * @param {() => string} text
 * @param {(message: string) => void} announce
 */
export function copyOnClick(button, text, announce) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const message = (await writeToClipboard(text())) ? "Copied" : "Copying needs HTTPS or localhost";
    button.textContent = message;
    announce(message);
    setTimeout(() => {
      button.textContent = label;
    }, CONFIRMATION);
  });
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} false if the browser forbids it
 */
async function writeToClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
