/** A frame that shows an upload's placeholder until its image has loaded. */

import { isRetryable } from "./problem.js";

const RETRY_PAUSES = [1, 3, 9, 27]; // seconds; each is a quarter shorter or longer at random
const LONGEST_RETRY_AFTER = 60; // seconds
const TIMEOUT = 30_000; // milliseconds

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
 * Loads an image into its frame, unless it is already there. Requests it again, with growing pauses and not before the
 * server's `Retry-After`, if the server was busy or unavailable. The frame's `data-image` is `loading`, `retrying`,
 * `loaded` or `failed`.
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
  const isWanted = () => image.onerror === onError && image.getAttribute("src") === url;
  const onError = async () => {
    let { status, retryAfter } = { status: statusOf(url), retryAfter: 0 };
    do {
      const pause = isRetryable(status) ? pauses.next().value : undefined;
      frame.dataset.image = pause === undefined ? "failed" : "retrying";
      if (pause === undefined) return;
      await sleep(Math.max(pause * (0.75 + Math.random() / 2), retryAfter * (1 + Math.random() / 4)));
      if (!isWanted()) return;
      ({ status, retryAfter } = await ask(url));
    } while (status !== 200 && isWanted());
    if (isWanted()) image.src = url; // which the browser has cached now
  };
  image.onerror = onError;
  image.src = url;
}

/**
 * Lets an image that failed be requested again, when its frame is updated the next time.
 * @param {HTMLImageElement} image
 */
export function forgetFailure(image) {
  if (!image.naturalWidth) image.removeAttribute("src");
}

/**
 * Requests an image, to read what an image element does not tell: when to try again. Images of other origins are requested
 * by the image element alone, because the page's policy allows no other request there.
 * @param {string} url
 * @returns {Promise<{status: number, retryAfter: number}>} `status` is 200 if the image element should try
 */
async function ask(url) {
  if (new URL(url, location.href).origin !== location.origin) return { status: 200, retryAfter: 0 };
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT) });
    await response.blob(); // otherwise the browser does not cache it
    const seconds = Number(response.headers.get("Retry-After") ?? 0);
    return { status: response.status, retryAfter: Math.min(seconds || 0, LONGEST_RETRY_AFTER) };
  } catch {
    return { status: 0, retryAfter: 0 };
  }
}

/** @param {number} seconds */
function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
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
