/** Finds uploads by a part of their name or id. The API filters by owner and by whole ids; names are compared here. */

import { nameOf } from "./names.js";

const PAGE = 100;
const MAX_PAGES = 10; // so that a search costs a bounded number of calls
const MAX_FOUND = 60;
const WHOLE_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * @param {import("./api.js").Api} api
 * @param {{query: string, owner: string}} filter
 * @returns {Promise<{images: import("./api.js").Upload[], searched: number, isComplete: boolean}>} `searched`: how many
 *   uploads were compared; `isComplete`: whether these are all there are
 */
export async function search(api, { query, owner }) {
  const wanted = query.toLowerCase();
  if (WHOLE_ID.test(wanted)) {
    const { images } = await api.list(1, null, { owner, ids: wanted });
    return { images, searched: images.length, isComplete: true };
  }
  /** @type {import("./api.js").Upload[]} */
  const found = [];
  let searched = 0;
  /** @type {string | null} */
  let cursor = null;
  for (let page = 0; page < MAX_PAGES && found.length < MAX_FOUND; page++) {
    /** @type {import("./api.js").Page} */
    const { images, cursor: next } = await api.list(PAGE, cursor, { owner });
    searched += images.length;
    found.push(...images.filter((upload) => matches(upload, wanted)));
    cursor = next;
    if (cursor === null) break;
  }
  return { images: found.slice(0, MAX_FOUND), searched, isComplete: cursor === null && found.length <= MAX_FOUND };
}

/**
 * @param {import("./api.js").Upload} upload
 * @param {string} wanted in lower case
 */
function matches(upload, wanted) {
  return upload.uploadId.includes(wanted) || nameOf(upload).toLowerCase().includes(wanted);
}
