/** Numbers, sizes and times as text. The page speaks English, whatever the browser's language. */

const UNITS = /** @type {const} */ (["byte", "kilobyte", "megabyte", "gigabyte"]);
const TIME = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/**
 * @param {number} value
 * @param {string} unit a unit of ECMA-402
 * @param {number} [digits] after the decimal point, at most
 */
function formatQuantity(value, unit, digits = 0) {
  const unitDisplay = unit === "byte" || unit === "second" ? "long" : "short";
  return new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay, maximumFractionDigits: digits }).format(value);
}

/**
 * 31234 becomes "31.2 kB".
 * @param {number} count
 */
export function formatBytes(count) {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(count || 1) / 3)));
  return formatQuantity(count / 1000 ** power, UNITS[power], 1);
}

/**
 * 84.2 becomes "84 ms", 1234 "1.23 seconds".
 * @param {number} count
 */
export function formatMilliseconds(count) {
  return count < 1000 ? formatQuantity(count, "millisecond") : formatQuantity(count / 1000, "second", 2);
}

/** @param {number} count */
export function formatSeconds(count) {
  return formatQuantity(count, "second");
}

/** @param {{width: number, height: number}} dimensions */
export function formatPixels({ width, height }) {
  return `${width} × ${height}`;
}

/** @param {string} iso */
export function formatTime(iso) {
  return TIME.format(new Date(iso));
}

/**
 * Compares the sizes of two files in a sentence.
 * @param {{name: string, bytes: number}} first
 * @param {{name: string, bytes: number}} second
 */
export function compareSizes(first, second) {
  if (first.bytes === second.bytes) return `${first.name} and ${second.name} both take ${formatBytes(first.bytes)}.`;
  const [small, large] = first.bytes < second.bytes ? [first, second] : [second, first];
  const saved = large.bytes - small.bytes;
  const share = new Intl.NumberFormat("en", { style: "percent" }).format(saved / large.bytes);
  return `${small.name} saves ${formatBytes(saved)} (${share}) compared with ${large.name}.`;
}
