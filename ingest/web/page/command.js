/** The curl command that uploads from a program. Shown without the key, copied with it. */

import { copyOnClick } from "./clipboard.js";
import { partsOf } from "./dom.js";

const PLACEHOLDER = "YOUR_API_KEY";
const HIDDEN = "••••••••";

/**
 * @param {HTMLElement} root
 * @param {object} context
 * @param {import("./key.js").Keyring} context.keyring
 * @param {import("./access.js").Access} context.access
 * @param {(message: string) => void} context.announce
 */
export function showCommand(root, { keyring, access, announce }) {
  const { code, copy, keyHint } = partsOf(root);
  const isNeeded = () => access.keyRequired || keyring.key !== null;
  const update = () => {
    code.textContent = command(isNeeded() ? (keyring.key ? HIDDEN : PLACEHOLDER) : null);
    keyHint.hidden = !isNeeded();
    keyHint.textContent = keyring.key ? "The copied command has your key." : `Replace ${PLACEHOLDER} by your key.`;
  };
  access.addEventListener("change", update);
  keyring.addEventListener("change", update);
  root.hidden = false;
  copyOnClick(copy, () => command(isNeeded() ? (keyring.key ?? PLACEHOLDER) : null), announce);
  update();
}

/** @param {string | null} key */
function command(key) {
  const header = key === null ? "" : ` -H ${quote(`Authorization: Bearer ${key}`)}`;
  return `curl${header} -F image=@photo.jpg ${quote(new URL("images/upload", location.href.split("#")[0]).href)}`;
}

/**
 * Quotes a word for a POSIX shell, unless nothing in it is special.
 * @param {string} word
 */
function quote(word) {
  return /^[\w:/.-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
