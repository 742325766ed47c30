/** Tokens of private variants: exactly those of the shared vectors, and when they end. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { variantUrl } from "darkroom-client";
import { signToken } from "darkroom-client/server";

import { ID, KEY, load, stopClock } from "./vectors.mjs";

const { now, sign } = load("tokens.json");
const clock = stopClock(now);

for (const { name, uploadId, keys, expires, token } of sign) {
    test(`token is that of the vector: ${name}`, async () => {
        assert.equal(await signToken(uploadId, keys, { expires }), token);
    });
}

test("token by default ends at a round time after its lifetime", async () => {
    const ends = [];
    for (const seconds of [0, 0.9, 1, 899, 900, 901]) {
        clock.now = now + seconds;
        ends.push(Number((await signToken(ID, KEY)).split(".")[1]) - now);
    }
    assert.deepEqual(ends, [3600, 3600, 4500, 4500, 4500, 5400]);

    clock.now = now;
    for (const lifetime of [1, 7, 100, 3000]) {
        assert.equal(await signToken(ID, KEY, { lifetime }), await signToken(ID, KEY, { expires: now + lifetime }));
    }
});

test("key that is missing or short is refused without showing it", async () => {
    for (const keys of ["", " , ", "short", `${KEY},short`, undefined]) {
        await assert.rejects(signToken(ID, keys), (error) => error instanceof TypeError && !error.message.includes("short"));
    }
});

test("time out of range is refused", async () => {
    for (const options of [{ lifetime: 0 }, { lifetime: -5 }, { lifetime: 1.5 }, { expires: 0 }, { expires: 1e12 }, { expires: NaN }]) {
        await assert.rejects(signToken(ID, KEY, options), TypeError, JSON.stringify(options));
    }
});

test("token for an id of another form is refused", async () => {
    await assert.rejects(signToken("../secret", KEY), /UUID/);
});

test("private URL has its own path and the token", async () => {
    const token = await signToken(ID, KEY);

    assert.equal(variantUrl(ID, "small", { format: "webp", density: 2, token }), `/private/${ID}/small@2x.webp?token=${token}`);
    assert.equal(
        variantUrl(ID, "small", { base: "https://cdn.test/", token }),
        `https://cdn.test/private/${ID}/small.auto?token=${token}`,
    );
});
