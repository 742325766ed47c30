/** A frame that shows an upload's placeholder until its image has loaded. */

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
 * Loads an image into its frame, unless it is already there.
 * @param {HTMLElement} frame
 * @param {HTMLImageElement} image
 * @param {string} url
 * @param {() => void} [onLoad]
 */
export function loadImage(frame, image, url, onLoad) {
  if (image.getAttribute("src") === url) return;
  frame.dataset.image = "loading";
  image.onload = () => {
    frame.dataset.image = "loaded";
    onLoad?.();
  };
  image.onerror = () => {
    frame.dataset.image = "failed";
  };
  image.src = url;
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
