/** What went wrong with a call, in words: the server's own (RFC 9457) wherever it said any. */

import { seconds } from "./words.js";

const RETRYABLE = new Set([0, 408, 429, 502, 503, 504]);

/** A call that failed. `status` is 0 where no answer came. */
export class Problem extends Error {
  /** @param {{title: string, detail?: string, status?: number, retryAfter?: number | null}} said */
  constructor({ title, detail = "", status = 0, retryAfter = null }) {
    super(detail);
    this.title = title;
    this.status = status;
    /** Seconds until trying again makes sense, if the server said so. */
    this.retryAfter = retryAfter;
  }

  get retryable() {
    return RETRYABLE.has(this.status);
  }

  /** What to do about it, or why, as one or two sentences. */
  get detail() {
    const when = this.retryAfter === null ? "" : `Try again in ${seconds(this.retryAfter)}.`;
    return [this.message, when].filter(Boolean).join(" ");
  }

  /** All of it in one line. */
  get words() {
    return [this.title, this.detail].filter(Boolean).join(". ");
  }
}

/**
 * From an answer. Edges and proxies answer in HTML: then there is the status alone.
 * @param {number} status
 * @param {string} body
 * @param {string | null} retryAfter
 */
export function problemOf(status, body, retryAfter) {
  const wait = Number(retryAfter ?? NaN);
  const said = parsed(body);
  return new Problem({
    title: said.title ?? `The server answered ${status}`,
    detail: said.detail,
    status,
    retryAfter: Number.isFinite(wait) ? wait : null,
  });
}

/** No answer at all. */
export function unreachable() {
  return new Problem({ title: "The server cannot be reached", detail: "Check the connection, then try again." });
}

/**
 * @param {string} body
 * @returns {{title?: string, detail?: string}}
 */
function parsed(body) {
  try {
    return JSON.parse(body) ?? {};
  } catch {
    return {};
  }
}
