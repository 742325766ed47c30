/** A picture that develops: its placeholder first, the picture itself once there is one. */

import { thumbhashUrl } from "./thumbhash.js";

/**
 * Paints an upload's placeholder into a frame, which holds one image. Style goes through the CSSOM, which the
 * Content-Security-Policy allows.
 * @param {HTMLElement} frame
 * @param {import("./api.js").Placeholder} placeholder
 */
export function paint(frame, { thumbhash, color }) {
  frame.style.setProperty("--color", color);
  frame.style.setProperty("--thumbhash", `url("${thumbhashUrl(thumbhash)}")`);
}

/**
 * Loads a picture into its frame, unless it is there already.
 * @param {HTMLElement} frame
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {() => void} [onLoad]
 */
export function develop(frame, image, url, onLoad) {
  if (image.getAttribute("src") === url) return;
  frame.dataset.picture = "coming";
  image.onload = () => {
    frame.dataset.picture = "there";
    onLoad?.();
  };
  image.onerror = () => {
    frame.dataset.picture = "missing";
  };
  image.src = url;
}

/**
 * @param {HTMLImageElement} image that has loaded
 */
export function sizeOf({ naturalWidth, naturalHeight }) {
  return { width: naturalWidth, height: naturalHeight };
}
