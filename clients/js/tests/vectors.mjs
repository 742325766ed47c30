/** The test vectors that all clients and the server share, and the time that they are made for. */

import { readFileSync } from "node:fs";
import { afterEach, beforeEach } from "node:test";

export const KEY = "0123456789abcdef0123456789abcdef";
export const ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a";

export function load(name) {
    return JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), "utf8"));
}

/** Sets the clock for each test of the file; `clock.now` changes it, in Unix seconds. */
export function stopClock(now) {
    const original = Date.now;
    const clock = { now };
    beforeEach(() => {
        clock.now = now;
        Date.now = () => clock.now * 1000;
    });
    afterEach(() => {
        Date.now = original;
    });
    return clock;
}
