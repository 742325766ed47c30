/** Access to the markup, which is all in index.html; no module makes HTML from text. */

/**
 * The element with this id.
 * @param {string} id
 * @returns {any}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`index.html has no #${id}`);
  return element;
}

/**
 * The named parts within an element: `data-part="name"`.
 * @param {Element} root
 * @returns {Record<string, any>}
 */
export function partsOf(root) {
  const named = /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-part]"));
  return Object.fromEntries(Array.from(named, (part) => [part.dataset.part, part]));
}

/**
 * A copy of a template's only element.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function cloneTemplate(id) {
  return byId(id).content.firstElementChild.cloneNode(true);
}
