/**
 * Calls of Darkroom's API. upload.js has the upload itself, because fetch reports no progress.
 *
 * Paths are relative to the page, like those in index.html: the service may be below a path of another site.
 */

import { networkProblem, parseProblem, Problem } from "./problem.js";

/**
 * @typedef {Record<string, Record<string, string>>} Urls by size, then by format
 * @typedef {{color: string, dataUrl: string | null}} Placeholder
 * @typedef {{removed?: string[], kept?: string[]}} Privacy
 * @typedef {{uploadId: string, originalSize: number, dimensions: {width: number, height: number}, format: string,
 *   status: string, createdAt: string, urls: Urls, placeholder: Placeholder, picture: string | null,
 *   privacy?: Privacy | null, focus?: string | null, owner?: string | null, externalId?: string | null,
 *   metadata?: Record<string, unknown> | null, visibility?: "public" | "private",
 *   sizes?: Record<string, {width: number, height: number, effects?: string[]}>}} Upload
 * @typedef {{state: string, bytes: number | null, milliseconds: number | null, quality: number | null,
 *   score: number | null}} Variant
 * @typedef {{status: string, progress: number, error: string | null, variants: Record<string, Variant>}} Status
 * @typedef {{images: Upload[], cursor: string | null}} Page
 * @typedef {{keyRequired: boolean, scopes: string[], metrics: boolean, privateImages: boolean}} PageAccess
 */

const TIMEOUT = 30_000; // milliseconds until a response begins

export class Api {
  /** @param {import("./key.js").Keyring} keyring */
  constructor(keyring) {
    this.keyring = keyring;
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Upload>}
   */
  async upload(id, signal) {
    return this.#json(`images/${id}`, { signal });
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Status>}
   */
  async status(id, signal) {
    return this.#json(`images/${id}/status`, { signal });
  }

  /**
   * The open response of the event stream. EventSource cannot send the key.
   * @param {string} id
   * @param {AbortSignal} signal
   */
  events(id, signal) {
    return this.#call(`images/${id}/events`, { signal, headers: { Accept: "text/event-stream" } });
  }

  /**
   * @param {number} limit
   * @param {string | null} cursor
   * @param {{owner?: string, ids?: string}} [filter]
   * @returns {Promise<Page>}
   */
  async list(limit, cursor, { owner, ids } = {}) {
    const wanted = { limit: String(limit), ...(cursor && { cursor }), ...(owner && { owner }), ...(ids && { ids }) };
    return this.#json(`images?${new URLSearchParams(wanted)}`);
  }

  /**
   * Changes fields of an upload and returns it.
   * @param {string} id
   * @param {{focus?: string | null, visibility?: "public" | "private"}} changes
   * @returns {Promise<Upload>}
   */
  async change(id, changes) {
    const headers = { "Content-Type": "application/json" };
    return this.#json(`images/${id}`, { method: "PATCH", headers, body: JSON.stringify(changes) });
  }

  /**
   * Tokens that open the private variants of uploads, by id.
   * @param {string[]} ids at most 100
   * @returns {Promise<{tokens: Record<string, string>, expiresAt: string}>}
   */
  async tokens(ids) {
    return this.#json(`images/tokens?${new URLSearchParams({ ids: ids.join() })}`);
  }

  /**
   * What the key allows. Asks for no key; null if the server does not answer.
   * @returns {Promise<PageAccess | null>}
   */
  async access() {
    try {
      const response = await fetchWithTimeout("page/access", { headers: this.keyring.headers });
      if (response.ok) return await response.json();
      return response.status === 401 ? { keyRequired: true, scopes: [], metrics: false, privateImages: false } : null;
    } catch {
      return null;
    }
  }

  /** @param {string} id */
  async remove(id) {
    await this.#call(`images/${id}`, { method: "DELETE" });
  }

  /**
   * A successful response's JSON. Throws as #call does, and a Problem if the body breaks off or is not JSON.
   * @param {string} path
   * @param {RequestInit} [options]
   */
  async #json(path, options = {}) {
    try {
      return await (await this.#call(path, options)).json();
    } catch (error) {
      if (error instanceof Problem || options.signal?.aborted) throw error;
      throw networkProblem();
    }
  }

  /**
   * A successful response. Throws a Problem, or an AbortError when `signal` aborts.
   * @param {string} path
   * @param {RequestInit} [options]
   * @returns {Promise<Response>}
   */
  async #call(path, options = {}) {
    const { key, headers } = this.keyring;
    const response = await fetchWithTimeout(path, { ...options, headers: { ...options.headers, ...headers } });
    if (response.ok) return response;
    if (response.status === 401 && (await this.keyring.requestKey(key))) return this.#call(path, options);
    throw parseProblem(response.status, await response.text(), response.headers.get("Retry-After"));
  }
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function fetchWithTimeout(path, options) {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), TIMEOUT);
  const signals = options.signal ? [options.signal, timeout.signal] : [timeout.signal];
  try {
    return await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.any(signals) });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw networkProblem();
  } finally {
    clearTimeout(timer);
  }
}
