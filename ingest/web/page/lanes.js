/** Bounded parallelism: a browser has six connections to a server, and pictures want some of them, too. */

/**
 * A runner that has at most `count` tasks under way; the others wait in the order they came.
 * @param {number} count
 * @returns {<T>(task: () => Promise<T>) => Promise<T>}
 */
export function lanes(count) {
  let free = count;
  /** @type {(() => void)[]} */
  const waiting = [];

  async function enter() {
    if (free > 0) free -= 1;
    else await new Promise((resolve) => waiting.push(() => resolve(undefined)));
  }

  function leave() {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }

  return async (task) => {
    await enter();
    try {
      return await task();
    } finally {
      leave();
    }
  };
}
