/** Sets the focus of an upload: by a click on the image, or with two numbers. */

import { findLargestPart, usesFocus } from "./crop.js";
import { partsOf } from "./dom.js";
import { loadImage, paintPlaceholder } from "./frame.js";

export class FocusPicker {
  #parts;

  /**
   * @param {HTMLElement} root
   * @param {(focus: string | null) => void} save called with "x,y" in shares of the upright image; null is the centre
   */
  constructor(root, save) {
    this.#parts = partsOf(root);
    const { picker, form, x, y, center } = this.#parts;
    picker.addEventListener("click", (/** @type {MouseEvent} */ event) => this.#pick(event));
    for (const input of [x, y]) input.addEventListener("input", () => this.#movePoint());
    center.addEventListener("click", () => save(null));
    form.addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      save([x, y].map(({ value }) => String(Number((value / 100).toFixed(4)))).join());
    });
  }

  /** @param {import("./previews.js").Shown} upload */
  show(upload) {
    const { picker, image, x, y, unused, center } = this.#parts;
    const { dimensions, previews, placeholder, focus } = upload;
    picker.style.setProperty("--ratio", String(dimensions.width / dimensions.height));
    paintPlaceholder(picker, placeholder);
    const part = findLargestPart(upload);
    image.hidden = part === null;
    image.removeAttribute("src");
    delete picker.dataset.image;
    if (part) {
      for (const name of /** @type {const} */ (["left", "top", "width", "height"])) {
        image.style.setProperty(name, `${100 * part[name]}%`);
      }
      loadImage(picker, image, previews[part.size].webp ?? Object.values(previews[part.size])[0]);
    }
    [x.value, y.value] = (focus ?? "0.5,0.5").split(",").map((share) => String(Number((100 * Number(share)).toFixed(2))));
    center.hidden = !focus;
    unused.hidden = usesFocus(upload);
    this.#movePoint();
  }

  /** @param {MouseEvent} event */
  #pick({ clientX, clientY }) {
    const { picker, x, y } = this.#parts;
    const { left, top, width, height } = picker.getBoundingClientRect();
    const percent = (/** @type {number} */ share) => Math.min(100, Math.max(0, 100 * share)).toFixed(1);
    x.value = percent((clientX - left) / width);
    y.value = percent((clientY - top) / height);
    this.#movePoint();
  }

  #movePoint() {
    const { point, x, y } = this.#parts;
    point.style.setProperty("left", `${x.value || 50}%`);
    point.style.setProperty("top", `${y.value || 50}%`);
  }
}
