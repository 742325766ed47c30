/** Quantities as people read them. The page speaks English, whatever the browser does. */

const UNITS = /** @type {const} */ (["byte", "kilobyte", "megabyte", "gigabyte"]);
const MOMENT = new Intl.DateTimeFormat("en", { dateStyle: "medium", timeStyle: "short" });

/**
 * @param {number} value
 * @param {string} unit one of those that ECMA-402 names
 * @param {number} [digits] after the point, at most
 */
function quantity(value, unit, digits = 0) {
  const unitDisplay = unit === "byte" || unit === "second" ? "long" : "short";
  return new Intl.NumberFormat("en", { style: "unit", unit, unitDisplay, maximumFractionDigits: digits }).format(value);
}

/**
 * 31234 becomes "31.2 kB".
 * @param {number} count
 */
export function bytes(count) {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(count || 1) / 3)));
  return quantity(count / 1000 ** power, UNITS[power], 1);
}

/**
 * 84.2 becomes "84 ms", 1234 "1.23 seconds".
 * @param {number} count
 */
export function milliseconds(count) {
  return count < 1000 ? quantity(count, "millisecond") : quantity(count / 1000, "second", 2);
}

/** @param {number} count */
export function seconds(count) {
  return quantity(count, "second");
}

/** @param {{width: number, height: number}} dimensions */
export function pixels({ width, height }) {
  return `${width} × ${height}`;
}

/** @param {string} iso */
export function moment(iso) {
  return MOMENT.format(new Date(iso));
}

/**
 * How the bytes of two files compare, as a sentence.
 * @param {{name: string, bytes: number}} one
 * @param {{name: string, bytes: number}} other
 */
export function comparison(one, other) {
  if (one.bytes === other.bytes) return `${one.name} and ${other.name} both take ${bytes(one.bytes)}.`;
  const [small, large] = one.bytes < other.bytes ? [one, other] : [other, one];
  const saved = large.bytes - small.bytes;
  const share = new Intl.NumberFormat("en", { style: "percent" }).format(saved / large.bytes);
  return `${small.name} saves ${bytes(saved)} (${share}) against ${large.name}.`;
}
