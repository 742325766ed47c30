/** The warm-up of one upload, live: by events, and by asking again and again where they do not come through. */

import { eventsOf } from "./events.js";
import { Problem } from "./problem.js";

const FIRST_WAIT = 500; // milliseconds between two questions; each is half as long again as the one before,
const LONGEST_WAIT = 10_000; // up to this
const PATIENCE = 900_000; // after so long without an end, nobody is warming up

/**
 * Every change of the status, until the job ends. Throws a Problem (404 if the upload is gone), or an AbortError.
 * @param {import("./api.js").Api} api
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<import("./api.js").Status>}
 */
export async function* follow(api, id, signal) {
  try {
    for await (const { name, data } of eventsOf(await api.events(id, signal))) {
      if (name === "deleted") throw gone();
      if (name !== "status") continue;
      const status = JSON.parse(data);
      yield status;
      if (ended(status)) return;
    }
  } catch (error) {
    if (signal.aborted || isFinal(error)) throw error;
  }
  yield* poll(api, id, signal);
}

/** @param {{status: string}} job */
export function ended({ status }) {
  return status === "complete" || status === "failed";
}

/** @type {typeof follow} */
async function* poll(api, id, signal) {
  const deadline = Date.now() + PATIENCE;
  for (let wait = FIRST_WAIT; Date.now() < deadline; wait = Math.min(wait * 1.5, LONGEST_WAIT)) {
    const status = await api.status(id, signal).catch(unlessFinal);
    if (status) yield status;
    if (status && ended(status)) return;
    await pause(wait, signal);
  }
}

/** @param {unknown} error */
function isFinal(error) {
  return error instanceof Problem && !error.retryable;
}

/**
 * @param {unknown} error
 * @returns {null} for what may pass
 */
function unlessFinal(error) {
  if (error instanceof Problem && error.retryable) return null;
  throw error;
}

function gone() {
  return new Problem({ title: "This upload is gone", detail: "It was deleted while you looked at it.", status: 404 });
}

/**
 * @param {number} wait milliseconds
 * @param {AbortSignal} signal
 */
function pause(wait, signal) {
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
