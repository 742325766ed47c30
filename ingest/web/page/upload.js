/** Uploads a file by XMLHttpRequest, because fetch reports no progress of a request's body. */

import { toFileName } from "./names.js";
import { networkProblem, parseProblem } from "./problem.js";

const TIMEOUT = 600_000; // milliseconds; the server's own UPLOAD_TIMEOUT is 60 seconds by default

/**
 * Uploads a file. Throws a Problem, or the reason that `signal` was aborted with.
 * @param {File} file
 * @param {object} options
 * @param {import("./key.js").Keyring} options.keyring
 * @param {AbortSignal} options.signal
 * @param {(share: number) => void} options.onProgress called with the sent share of the body, 0 to 1; last with 1
 * @returns {Promise<import("./api.js").Upload>}
 */
export async function upload(file, options) {
  const { key } = options.keyring;
  const response = await post(file, options);
  options.signal.throwIfAborted();
  if (response.status === 201) return JSON.parse(response.responseText);
  if (response.status === 401 && (await options.keyring.requestKey(key))) return upload(file, options);
  if (response.status === 0) throw networkProblem();
  throw parseProblem(response.status, response.responseText, response.getResponseHeader("Retry-After"));
}

/**
 * @param {File} file
 * @param {Parameters<typeof upload>[1]} options
 * @returns {Promise<XMLHttpRequest>} resolves when the request ends, also if it fails
 */
function post(file, { keyring, signal, onProgress }) {
  const request = new XMLHttpRequest();
  request.open("POST", "images/upload");
  request.timeout = TIMEOUT;
  const headers = Object.entries({ Accept: "application/json", ...keyring.headers });
  headers.forEach(([name, value]) => request.setRequestHeader(name, value));
  request.upload.addEventListener("progress", ({ loaded, total }) => onProgress(loaded / total));
  request.upload.addEventListener("load", () => onProgress(1));
  signal.addEventListener("abort", () => request.abort(), { once: true });
  const ended = new Promise((resolve) => request.addEventListener("loadend", () => resolve(request)));
  const form = new FormData();
  form.append("image", file);
  form.append("metadata", JSON.stringify({ fileName: toFileName(file.name) }));
  request.send(form);
  return ended;
}
