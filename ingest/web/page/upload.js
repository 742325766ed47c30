/** One upload, by XMLHttpRequest: fetch does not tell how much of a body has gone out. */

import { problemOf, unreachable } from "./problem.js";

const PATIENCE = 600_000; // milliseconds; the server gives up long before

/**
 * Sends a file. Throws a Problem, or what `signal` was aborted with.
 * @param {File} file
 * @param {object} options
 * @param {import("./key.js").Keyring} options.keyring
 * @param {AbortSignal} options.signal
 * @param {(share: number) => void} options.onProgress 0 to 1 of the body has gone out; 1 comes last
 * @returns {Promise<import("./api.js").Upload>}
 */
export async function upload(file, options) {
  const { key } = options.keyring;
  const answer = await post(file, options);
  options.signal.throwIfAborted();
  if (answer.status === 201) return JSON.parse(answer.responseText);
  if (answer.status === 401 && (await options.keyring.renew(key))) return upload(file, options);
  if (answer.status === 0) throw unreachable();
  throw problemOf(answer.status, answer.responseText, answer.getResponseHeader("Retry-After"));
}

/**
 * @param {File} file
 * @param {Parameters<typeof upload>[1]} options
 * @returns {Promise<XMLHttpRequest>} once it has ended, however it did
 */
function post(file, { keyring, signal, onProgress }) {
  const request = new XMLHttpRequest();
  request.open("POST", "/images/upload");
  request.timeout = PATIENCE;
  const headers = Object.entries({ Accept: "application/json", ...keyring.headers });
  headers.forEach(([name, value]) => request.setRequestHeader(name, value));
  request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded / total));
  request.upload.addEventListener("load", () => onProgress(1));
  signal.addEventListener("abort", () => request.abort(), { once: true });
  const ended = new Promise((resolve) => request.addEventListener("loadend", () => resolve(request)));
  const form = new FormData();
  form.append("image", file);
  request.send(form);
  return ended;
}
