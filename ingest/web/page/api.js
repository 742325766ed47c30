/** Darkroom's calls, but for the upload itself, whose progress needs another tool (upload.js). */

import { Problem, problemOf, unreachable } from "./problem.js";

/**
 * @typedef {Record<string, Record<string, string>>} Urls by size, then by format
 * @typedef {{thumbhash: string, color: string}} Placeholder
 * @typedef {{removed?: string[], kept?: string[]}} Privacy
 * @typedef {{uploadId: string, originalSize: number, dimensions: {width: number, height: number}, format: string,
 *   status: string, createdAt: string, urls: Urls, placeholder: Placeholder, picture: string,
 *   privacy?: Privacy | null}} Upload
 * @typedef {{state: string, bytes: number | null, milliseconds: number | null, quality: number | null,
 *   score: number | null}} Variant
 * @typedef {{status: string, progress: number, error: string | null, variants: Record<string, Variant>}} Status
 * @typedef {{images: Upload[], cursor: string | null}} Page
 */

const PATIENCE = 30_000; // milliseconds for an answer to begin

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
    return this.#json(`/images/${id}`, { signal });
  }

  /**
   * @param {string} id
   * @param {AbortSignal} [signal]
   * @returns {Promise<Status>}
   */
  async status(id, signal) {
    return this.#json(`/images/${id}/status`, { signal });
  }

  /**
   * The answer of the event stream, still open: EventSource could not send the key.
   * @param {string} id
   * @param {AbortSignal} signal
   */
  events(id, signal) {
    return this.#call(`/images/${id}/events`, { signal, headers: { Accept: "text/event-stream" } });
  }

  /**
   * @param {number} limit
   * @param {string | null} cursor
   * @returns {Promise<Page>}
   */
  async newest(limit, cursor) {
    const query = new URLSearchParams({ limit: String(limit), ...(cursor && { cursor }) });
    return this.#json(`/images?${query}`);
  }

  /** @param {string} id */
  async remove(id) {
    await this.#call(`/images/${id}`, { method: "DELETE" });
  }

  /**
   * A good answer's document. Throws as #call does, also where it breaks off or is none of ours.
   * @param {string} path
   * @param {RequestInit} [options]
   */
  async #json(path, options = {}) {
    try {
      return await (await this.#call(path, options)).json();
    } catch (error) {
      if (error instanceof Problem || options.signal?.aborted) throw error;
      throw unreachable();
    }
  }

  /**
   * A good answer. Throws a Problem, or an AbortError once `signal` says so.
   * @param {string} path
   * @param {RequestInit} [options]
   * @returns {Promise<Response>}
   */
  async #call(path, options = {}) {
    const { key, headers } = this.keyring;
    const response = await answer(path, { ...options, headers: { ...options.headers, ...headers } });
    if (response.ok) return response;
    if (response.status === 401 && (await this.keyring.renew(key))) return this.#call(path, options);
    throw problemOf(response.status, await response.text(), response.headers.get("Retry-After"));
  }
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function answer(path, options) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), PATIENCE);
  const signals = options.signal ? [options.signal, late.signal] : [late.signal];
  try {
    return await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.any(signals) });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreachable();
  } finally {
    clearTimeout(timer);
  }
}
