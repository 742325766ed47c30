/** Which part of the original a variant shows, so that a point on the variant is a point of the original. */

/** @typedef {{size: string, left: number, top: number, width: number, height: number}} Part in shares of the original */

/**
 * The size that shows the most of the original in a known place, and where. Null if every size is padded, or cropped around
 * what the server found.
 * @param {import("./api.js").Upload} upload
 * @returns {Part | null}
 */
export function findLargestPart({ sizes = {}, urls, dimensions, focus }) {
  const parts = Object.keys(urls)
    .filter((size) => sizes[size] && !sizes[size].effects?.some((effect) => /^pad|^position attention/.test(effect)))
    .map((size) => {
      const isFocused = sizes[size].effects?.includes("position focus") && focus;
      return { size, pixels: sizes[size].width, ...cropOf(dimensions, sizes[size], isFocused ? focus : "0.5,0.5") };
    });
  parts.sort((one, other) => other.width * other.height - one.width * one.height || other.pixels - one.pixels);
  return parts[0] ?? null;
}

/** Whether a size of the upload is cropped around its focus. */
export function usesFocus(/** @type {import("./api.js").Upload} */ { sizes = {} }) {
  return Object.values(sizes).some(({ effects }) => effects?.includes("position focus"));
}

/**
 * The part that `fit = "cover"` shows, as `place` in proxy/imaging/resize.py computes it. Everything for other fits, which
 * keep the aspect ratio.
 * @param {{width: number, height: number}} original
 * @param {{width: number, height: number}} shown
 * @param {string} around "x,y"
 */
function cropOf(original, shown, around) {
  const ratio = shown.width / shown.height / (original.width / original.height);
  const [width, height] = [Math.min(1, ratio), Math.min(1, 1 / ratio)];
  const [x, y] = around.split(",").map(Number);
  const clamp = (/** @type {number} */ start, /** @type {number} */ length) =>
    Math.min(Math.max(0, start - length / 2), 1 - length);
  return { left: clamp(x, width), top: clamp(y, height), width, height };
}
