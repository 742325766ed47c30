/** Reads Server-Sent Events from a fetch response. */

const TIMEOUT = 45_000; // milliseconds; the server sends a comment every 15 seconds

/**
 * Yields events until the stream ends. Throws if the stream breaks or sends nothing for 45 seconds.
 * @param {Response} response
 * @returns {AsyncGenerator<{name: string, data: string}>}
 */
export async function* readEvents(response) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await withTimeout(reader.read());
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop() ?? "";
      yield* blocks.map(parse).filter(({ data }) => data);
    }
  } finally {
    await reader.cancel().catch(() => undefined); // a broken stream reports its error a second time
  }
}

/** @param {string} block */
function parse(block) {
  const fields = block.split("\n").map((line) => /^(\w*):? ?(.*)$/.exec(line) ?? []);
  const all = (/** @type {string} */ wanted) => fields.filter(([, name]) => name === wanted).map(([, , value]) => value);
  return { name: all("event").at(-1) ?? "message", data: all("data").join("\n") };
}

/**
 * @template T
 * @param {Promise<T>} read
 * @returns {Promise<T>}
 */
async function withTimeout(read) {
  let timer;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("the event stream is silent")), TIMEOUT);
  });
  try {
    return await Promise.race([read, /** @type {Promise<never>} */ (timeout)]);
  } finally {
    clearTimeout(timer);
  }
}
