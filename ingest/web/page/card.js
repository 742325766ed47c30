/** One variant in the gallery: its image, figures and URL. */

import { copyOnClick } from "./clipboard.js";
import { cloneTemplate, partsOf } from "./dom.js";
import { formatBytes, formatMilliseconds, formatPixels } from "./formatting.js";
import { bytesOf, forgetFailure, loadImage, paintPlaceholder, sizeOf } from "./frame.js";

export class Card {
  #url = "";
  #parts;

  /**
   * @param {string} size
   * @param {string} format
   * @param {import("./previews.js").Shown} upload
   * @param {(message: string) => void} announce
   */
  constructor(size, format, { urls, previews, placeholder, renew }, announce) {
    this.name = `${size}.${format}`;
    this.root = cloneTemplate("card-template");
    this.#parts = partsOf(this.root);
    const { frame, image, title, copy, show, again } = this.#parts;
    title.textContent = format;
    this.#setUrl(previews[size][format]);
    frame.setAttribute("aria-label", `Open ${this.name}`);
    paintPlaceholder(frame, placeholder);
    image.alt = this.name;
    copy.setAttribute("aria-label", `Copy the URL of ${this.name}`);
    show.setAttribute("aria-label", `Derive and show ${this.name}`);
    show.addEventListener("click", () => {
      this.load();
      frame.focus(); // the button disappears
    });
    again.setAttribute("aria-label", `Try again to show ${this.name}`);
    again.addEventListener("click", async () => {
      frame.focus(); // the button disappears
      this.#setUrl((await renew())[size][format]);
      forgetFailure(image);
      this.load();
    });
    copyOnClick(copy, () => new URL(urls[size][format], location.href).href, announce);
  }

  /** @param {string} preview the URL shown here, which has a token if the upload is private */
  #setUrl(preview) {
    this.#url = preview;
    this.#parts.frame.href = preview;
  }

  /**
   * @param {import("./api.js").Variant} variant
   * @param {number} largest bytes of the largest variant of this size
   */
  update(variant, largest) {
    this.root.dataset.state = variant.state;
    this.#fill("bytes", variant.bytes, formatBytes);
    this.#fill("milliseconds", variant.milliseconds, formatMilliseconds);
    this.#fill("quality", variant.quality, String);
    this.#fill("score", variant.score, (score) => score.toFixed(1));
    this.#parts.bar.style.setProperty("--share", String((variant.bytes ?? 0) / largest));
  }

  /** Offers a variant that warm-ups do not derive. It is not loaded unasked: that would derive and store it. */
  offer() {
    this.#parts.show.hidden = this.#parts.image.hasAttribute("src");
  }

  /** Loads the image. The server derives the variant if it is not stored yet. */
  load() {
    const { frame, image, bytes, show } = this.#parts;
    show.hidden = true;
    loadImage(frame, image, this.#url, () => {
      this.#write("pixels", formatPixels(sizeOf(image)));
      if (!bytes.value) this.#fill("bytes", bytesOf(this.#url), formatBytes);
    });
  }

  /**
   * Writes a figure, unless it is null. The element's `value` has the exact number.
   * @param {string} name
   * @param {number | null} value
   * @param {(value: number) => string} format
   */
  #fill(name, value, format) {
    if (value === null) return;
    this.#parts[name].value = value;
    this.#write(name, format(value));
  }

  /**
   * @param {string} name
   * @param {string} text
   */
  #write(name, text) {
    const figure = this.#parts[name];
    figure.textContent = text;
    figure.closest("div").hidden = false;
  }
}
