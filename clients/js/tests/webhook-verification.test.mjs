/** Webhooks against the shared vectors, which the reference library of Standard Webhooks made. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { VerificationError, verifyWebhook } from "darkroom-client/server";

import { load, stopClock } from "./vectors.mjs";

const vectors = load("webhooks.json");
const clock = stopClock(vectors.now);
const [good] = vectors.verify;

for (const { name, body, headers, secret } of vectors.verify) {
    test(`webhook of the vector is verified: ${name}`, async () => {
        const event = JSON.parse(body);
        const bytes = new TextEncoder().encode(body);

        assert.deepEqual(await verifyWebhook(body, headers, secret), event);
        assert.deepEqual(await verifyWebhook(bytes, new Headers(headers), secret), event);
        assert.deepEqual(await verifyWebhook(bytes.buffer, headers, secret), event);
        assert.deepEqual(await verifyWebhook(Buffer.from(body), headers, secret), event);
    });
}

for (const { name, body, headers, secret } of vectors.refuse) {
    test(`webhook of the vector is refused: ${name}`, async () => {
        await assert.rejects(verifyWebhook(body, headers, secret), VerificationError);
    });
}

test("webhook older than the given tolerance is refused", async () => {
    clock.now += 11;

    await verifyWebhook(good.body, good.headers, good.secret, { tolerance: 11 });
    await assert.rejects(verifyWebhook(good.body, good.headers, good.secret, { tolerance: 10 }), /10 seconds/);
});

test("header that came several times is refused", async () => {
    const headers = { ...good.headers, "webhook-id": ["msg_1", "msg_2"] };

    await assert.rejects(verifyWebhook(good.body, headers, good.secret), VerificationError);
});

test("secret of another form is a mistake of the program, and not shown", async () => {
    for (const secret of ["", "whsec_", "whsec_!!!", "plain text", `${good.secret},`, undefined]) {
        await assert.rejects(
            verifyWebhook(good.body, good.headers, secret),
            (error) => error instanceof TypeError && (!secret || secret === "whsec_" || !error.message.includes(secret)),
        );
    }
});
