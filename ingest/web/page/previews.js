/** URLs that this page shows variants at: private ones need a token, and a changed focus a URL that no cache knows. */

import { Problem } from "./problem.js";

const MARGIN = 120_000; // milliseconds: tokens that end sooner are replaced

/**
 * @typedef {import("./api.js").Upload & {previews: import("./api.js").Urls,
 *   renew: () => Promise<import("./api.js").Urls>}} Shown `renew`: fetches a new token and returns the previews with it
 */

export class Previews {
  #api;
  #access;
  /** @type {Map<string, {token: string, expires: number}>} by upload id */
  #tokens = new Map();

  /**
   * @param {import("./api.js").Api} api
   * @param {import("./access.js").Access} access
   */
  constructor(api, access) {
    this.#api = api;
    this.#access = access;
  }

  /**
   * Adds the URLs of their previews to uploads. Without a token, those of private uploads end in 403.
   * @param {import("./api.js").Upload[]} uploads at most 100
   * @returns {Promise<Shown[]>}
   */
  async add(uploads) {
    await this.#sign(uploads, Date.now() + MARGIN);
    const renew = (/** @type {import("./api.js").Upload} */ upload) => async () => {
      await this.#sign([upload], Infinity);
      return this.#urlsOf(upload);
    };
    return uploads.map((upload) => ({ ...upload, previews: this.#urlsOf(upload), renew: renew(upload) }));
  }

  /**
   * @param {import("./api.js").Upload[]} uploads
   * @param {number} until tokens that end before are replaced
   */
  async #sign(uploads, until) {
    await this.#access.loaded;
    const ids = uploads.filter(({ visibility }) => visibility === "private").map(({ uploadId }) => uploadId);
    const wanted = ids.filter((id) => (this.#tokens.get(id)?.expires ?? 0) < until);
    if (!wanted.length || !this.#access.privateImages || !this.#access.allows("read")) return;
    try {
      const { tokens, expiresAt } = await this.#api.tokens(wanted);
      const expires = Date.parse(expiresAt);
      for (const [id, token] of Object.entries(tokens)) this.#tokens.set(id, { token, expires });
    } catch (error) {
      if (!(error instanceof Problem)) throw error; // the images say that they are not available
    }
  }

  /** @param {import("./api.js").Upload} upload */
  #urlsOf({ uploadId, urls, focus, visibility }) {
    const token = visibility === "private" ? this.#tokens.get(uploadId)?.token : undefined;
    // The server ignores `focus`: it keeps browsers from showing what they cached before the focus was changed.
    const query = new URLSearchParams({ ...(token && { token }), ...(focus && { focus }) }).toString();
    return query ? mapUrls(urls, (url) => `${url}?${query}`) : urls;
  }
}

/**
 * @param {import("./api.js").Urls} urls
 * @param {(url: string) => string} change
 */
function mapUrls(urls, change) {
  const changed = (/** @type {Record<string, string>} */ formats) =>
    Object.fromEntries(Object.entries(formats).map(([format, url]) => [format, change(url)]));
  return Object.fromEntries(Object.entries(urls).map(([size, formats]) => [size, changed(formats)]));
}
