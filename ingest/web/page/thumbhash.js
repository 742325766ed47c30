/** Decodes a ThumbHash (https://evanw.github.io/thumbhash/): a blurred preview in about 25 bytes. */

const SIDE = 32; // pixels of the longer side

/**
 * The decoded image as a data: URL.
 * @param {string} base64
 */
export function thumbhashUrl(base64) {
  const image = decode(Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)));
  const canvas = document.createElement("canvas");
  canvas.width = image.width;
  canvas.height = image.height;
  canvas.getContext("2d")?.putImageData(image, 0, 0);
  return canvas.toDataURL();
}

/**
 * Decodes by the inverse cosine transform of the few frequencies in the hash.
 * @param {Uint8Array} hash
 */
export function decode(hash) {
  const { across, down, hasAlpha, channels } = read(hash);
  const ratio = across / down;
  const width = Math.round(ratio > 1 ? SIDE : SIDE * ratio);
  const height = Math.round(ratio > 1 ? SIDE / ratio : SIDE);
  const [l, p, q, a] = channels.map((channel) => plane(channel, width, height));
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const blue = l[i] - (2 / 3) * p[i];
    const red = (3 * l[i] - blue + q[i]) / 2;
    image.data.set([red, red - q[i], blue, hasAlpha ? a[i] : 1].map((value) => 255 * value), 4 * i);
  }
  return image;
}

/**
 * One channel of the hash: its mean, and the frequencies of an upper left triangle of `across` x `down`.
 * @typedef {{mean: number, across: number, down: number, frequencies: number[]}} Channel
 */

/**
 * Reads the hash's fields, low bits first. Luminance has `across` x `down` frequencies, in the image's aspect ratio.
 * @param {Uint8Array} hash
 */
function read(hash) {
  const head = hash[0] | (hash[1] << 8) | (hash[2] << 16);
  const tail = hash[3] | (hash[4] << 8);
  const hasAlpha = Boolean(head >> 23);
  const landscape = Boolean(tail >> 15);
  const [long, short] = [hasAlpha ? 5 : 7, tail & 7];
  const [across, down] = landscape ? [long, short] : [short, long];
  const next = nibbles(hash, hasAlpha ? 6 : 5);
  const channels = [
    channel(next, (head & 63) / 63, ((head >> 18) & 31) / 31, Math.max(3, across), Math.max(3, down)),
    channel(next, ((head >> 6) & 63) / 31.5 - 1, (1.25 * ((tail >> 3) & 63)) / 63, 3, 3), // 1.25 makes colours stronger,
    channel(next, ((head >> 12) & 63) / 31.5 - 1, (1.25 * ((tail >> 9) & 63)) / 63, 3, 3), // as the reference decoder does
  ];
  if (hasAlpha) channels.push(channel(next, (hash[5] & 15) / 15, (hash[5] >> 4) / 15, 5, 5));
  return { across, down, hasAlpha, channels };
}

/**
 * Reads half bytes one after the other, from -1 to 1.
 * @param {Uint8Array} hash
 * @param {number} start
 */
function nibbles(hash, start) {
  let position = 2 * start;
  return () => {
    const nibble = (hash[position >> 1] >> (4 * (position & 1))) & 15;
    position += 1;
    return nibble / 7.5 - 1;
  };
}

/**
 * @param {() => number} next
 * @param {number} mean
 * @param {number} scale of the frequencies
 * @param {number} across
 * @param {number} down
 * @returns {Channel}
 */
function channel(next, mean, scale, across, down) {
  return { mean, across, down, frequencies: triangle(across, down).map(() => next() * scale) };
}

/**
 * The pairs of horizontal and vertical frequency in the hash, in order, without the mean's.
 * @param {number} across
 * @param {number} down
 */
function triangle(across, down) {
  const pairs = [];
  for (let v = 0; v < down; v++) {
    for (let u = v ? 0 : 1; u * down < across * (down - v); u++) pairs.push([u, v]);
  }
  return pairs;
}

/**
 * The values of a channel, row after row.
 * @param {Channel} channel
 * @param {number} width
 * @param {number} height
 */
function plane({ mean, across, down, frequencies }, width, height) {
  const pairs = triangle(across, down);
  const wave = (/** @type {number} */ frequency, /** @type {number} */ at, /** @type {number} */ length) =>
    Math.cos((Math.PI / length) * frequency * (at + 0.5));
  return Float64Array.from({ length: width * height }, (_, i) => {
    const [x, y] = [i % width, Math.floor(i / width)];
    return pairs.reduce((sum, [u, v], k) => sum + 2 * frequencies[k] * wave(u, x, width) * wave(v, y, height), mean);
  });
}
