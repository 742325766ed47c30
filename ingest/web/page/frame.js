/** A frame that shows an upload's placeholder until its image has loaded. */

import { isRetryable } from "./problem.js";

const RETRY_PAUSES = [1, 3, 9, 27]; // seconds; each is a quarter shorter or longer at random

/**
 * Paints an upload's placeholder into a frame with one image. Sets styles through the CSSOM, which the
 * Content-Security-Policy allows.
 * @param {HTMLElement} frame
 * @param {import("./api.js").Placeholder} placeholder
 */
export function paintPlaceholder(frame, { color, dataUrl }) {
  frame.style.setProperty("--color", color);
  frame.style.setProperty("--preview", dataUrl ? `url("${dataUrl}")` : "none");
}

/**
 * Loads an image into its frame, unless it is already there. Requests it again, with growing pauses, if the server was busy or
 * unavailable.
 * @param {HTMLElement} frame
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {() => void} [onLoad]
 */
export function loadImage(frame, image, url, onLoad) {
  if (image.getAttribute("src") === url) return;
  const pauses = RETRY_PAUSES.values();
  frame.dataset.image = "loading";
  image.onload = () => {
    frame.dataset.image = "loaded";
    onLoad?.();
  };
  const onError = () => {
    const pause = isRetryable(statusOf(url)) ? pauses.next().value : undefined;
    if (pause === undefined) {
      frame.dataset.image = "failed";
      return;
    }
    setTimeout(
      () => {
        const isWanted = image.onerror === onError && image.getAttribute("src") === url;
        if (isWanted) image.src = url;
      },
      pause * 1000 * (0.75 + Math.random() / 2),
    );
  };
  image.onerror = onError;
  image.src = url;
}

/**
 * The status of the last response for a URL; 0 if the browser does not tell.
 * @param {string} url
 */
function statusOf(url) {
  const entry = performance.getEntriesByName(new URL(url, location.href).href).at(-1);
  return entry instanceof PerformanceResourceTiming ? (entry.responseStatus ?? 0) : 0;
}

/**
 * The bytes of an image that has loaded. The status has those of the variants of the warm-up only. Null if the browser does
 * not tell.
 * @param {string} url
 */
export function bytesOf(url) {
  for (const entry of performance.getEntriesByName(new URL(url, location.href).href)) {
    if (entry instanceof PerformanceResourceTiming && entry.encodedBodySize) return entry.encodedBodySize;
  }
  return null;
}

/**
 * @param {HTMLImageElement} image that has loaded
 */
export function sizeOf({ naturalWidth, naturalHeight }) {
  return { width: naturalWidth, height: naturalHeight };
}
