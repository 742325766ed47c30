/** Sections that are open on wide screens and closed on phones, where they would make the page very long. */

const IS_WIDE = matchMedia("(min-width: 56rem)");

/** Sets every `<details class="fold">` for the width of the screen, now and when it changes. */
export function foldOnPhones() {
  const folds = /** @type {NodeListOf<HTMLDetailsElement>} */ (document.querySelectorAll("details.fold"));
  const update = () => {
    for (const fold of folds) fold.open = IS_WIDE.matches;
  };
  IS_WIDE.addEventListener("change", update);
  update();
}
