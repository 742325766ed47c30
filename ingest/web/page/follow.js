/** Follows the warm-up of an upload: by events, or by polling if events fail. */

import { readEvents } from "./events.js";
import { Problem } from "./problem.js";

// Milliseconds between two polls; each wait is 1.5 times the one before.
const FIRST_WAIT = 500;
const LONGEST_WAIT = 10_000;
const TIMEOUT = 900_000; // milliseconds; after that, no worker is running

/**
 * Yields each change of the status until the job ends. Throws a Problem (404 if the upload was deleted) or an AbortError.
 * @param {import("./api.js").Api} api
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./api.js").Status>}
 */
export async function* follow(api, id, signal) {
  try {
    for await (const { name, data } of readEvents(await api.events(id, signal))) {
      if (name === "deleted") throw deletedProblem();
      if (name !== "status") continue;
      const status = JSON.parse(data);
      yield status;
      if (hasEnded(status)) return;
    }
  } catch (error) {
    if (signal.aborted || isFinal(error)) throw error;
  }
  yield* poll(api, id, signal);
}

/** @param {{status: string}} job */
export function hasEnded({ status }) {
  return status === "complete" || status === "failed";
}

/** @type {typeof follow} */
async function* poll(api, id, signal) {
  const deadline = Date.now() + TIMEOUT;
  for (let wait = FIRST_WAIT; Date.now() < deadline; wait = Math.min(wait * 1.5, LONGEST_WAIT)) {
    const status = await api.status(id, signal).catch(nullIfRetryable);
    if (status) yield status;
    if (status && hasEnded(status)) return;
    await sleep(wait, signal);
  }
}

/** @param {unknown} error */
function isFinal(error) {
  return error instanceof Problem && !error.retryable;
}

/**
 * @param {unknown} error
 * @returns {null} if the error may pass; throws it otherwise
 */
function nullIfRetryable(error) {
  if (error instanceof Problem && error.retryable) return null;
  throw error;
}

function deletedProblem() {
  return new Problem({ title: "This upload was deleted", detail: "Someone deleted it while you viewed it.", status: 404 });
}

/**
 * @param {number} wait milliseconds
 * @param {AbortSignal} signal
 */
function sleep(wait, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, wait);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
