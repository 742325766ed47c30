/** Bounded concurrency: a browser opens six connections to a server, and images need some of them too. */

/**
 * Returns a function that runs tasks, at most `count` at a time; the others wait in order of arrival.
 * @param {number} count
 * @returns {<T>(task: () => Promise<T>) => Promise<T>}
 */
export function limitConcurrency(count) {
  let free = count;
  /** @type {(() => void)[]} */
  const waiting = [];

  async function acquire() {
    if (free > 0) free -= 1;
    else await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  }

  function release() {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }

  return async (task) => {
    await acquire();
    try {
      return await task();
    } finally {
      release();
    }
  };
}
