/** Server-Sent Events out of a fetched answer. */

const SILENCE = 45_000; // milliseconds; the server sends a comment every 15 seconds

/**
 * Events as they come, until the stream ends. Throws when it breaks, or when it is silent for too long.
 * @param {Response} response
 * @returns {AsyncGenerator<{name: string, data: string}>}
 */
export async function* eventsOf(response) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await soon(reader.read());
      if (done) return;
      const blocks = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = blocks.pop() ?? "";
      yield* blocks.map(parse).filter(({ data }) => data);
    }
  } finally {
    await reader.cancel().catch(() => undefined); // a broken stream says again that it broke
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
async function soon(read) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error("silence")), SILENCE);
  });
  try {
    return await Promise.race([read, /** @type {Promise<never>} */ (late)]);
  } finally {
    clearTimeout(timer);
  }
}
