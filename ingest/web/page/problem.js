/** Errors of API calls, as text for people: the server's problem document (RFC 9457) where there is one. */

import { formatSeconds } from "./formatting.js";

const RETRYABLE = new Set([0, 408, 429, 502, 503, 504]);

/**
 * Whether another try may succeed.
 * @param {number} status 0 if there was no response, or if it is unknown
 */
export const isRetryable = (status) => RETRYABLE.has(status);

/** A failed call. `status` is 0 if there was no response. */
export class Problem extends Error {
  /** @param {{title: string, detail?: string, status?: number, retryAfter?: number | null}} problem */
  constructor({ title, detail = "", status = 0, retryAfter = null }) {
    super(detail);
    this.title = title;
    this.status = status;
    /** Seconds until a retry makes sense, if the server gave them. */
    this.retryAfter = retryAfter;
  }

  get retryable() {
    return isRetryable(this.status);
  }

  /** The reason, or what to do, in one or two sentences. */
  get detail() {
    const when = this.retryAfter === null ? "" : `Try again in ${formatSeconds(this.retryAfter)}.`;
    return [this.message, when].filter(Boolean).join(" ");
  }

  /** Title and detail in one line. */
  get text() {
    return [this.title, this.detail].filter(Boolean).join(". ");
  }
}

/**
 * Reads a problem from a response. Edges and proxies respond in HTML, which leaves only the status.
 * @param {number} status
 * @param {string} body
 * @param {string | null} retryAfter
 */
export function parseProblem(status, body, retryAfter) {
  const wait = Number(retryAfter ?? NaN);
  const document = parseJson(body);
  return new Problem({
    title: document.title ?? `The server responded with status ${status}`,
    detail: document.detail,
    status,
    retryAfter: Number.isFinite(wait) ? wait : null,
  });
}

/** A call without a response. */
export function networkProblem() {
  return new Problem({ title: "The server cannot be reached", detail: "Check the connection, then try again." });
}

/**
 * @param {string} body
 * @returns {{title?: string, detail?: string}}
 */
function parseJson(body) {
  try {
    return JSON.parse(body) ?? {};
  } catch {
    return {};
  }
}
