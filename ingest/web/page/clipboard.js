/** Buttons that copy a text. */

const CONFIRMED = 2000; // milliseconds that a button says so

/**
 * @param {HTMLButtonElement} button
 * @param {() => string} text
 * @param {(words: string) => void} announce
 */
export function copyOnClick(button, text, announce) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const words = (await copied(text())) ? "Copied" : "Copying needs HTTPS or localhost";
    button.textContent = words;
    announce(words);
    setTimeout(() => {
      button.textContent = label;
    }, CONFIRMED);
  });
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} false where the browser does not let us
 */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
