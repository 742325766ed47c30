/** Upload tickets and receipts, against the shared vectors. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { signTicket, VerificationError, verifyReceipt } from "darkroom-client/server";

import { KEY, load, stopClock } from "./vectors.mjs";

const tickets = load("tickets.json");
const receipts = load("receipts.json");
stopClock(tickets.now);

function parts(jwt) {
    return jwt.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url").toString()));
}

for (const { name, keys, claims, jwt } of tickets.verify) {
    test(`ticket is that of the vector: ${name}`, async () => {
        const { exp, jti, ...options } = claims;

        const ticket = await signTicket(keys, { ...options, lifetime: exp - tickets.now, ticketId: jti });

        assert.deepEqual(parts(ticket), [{ alg: "HS256", typ: "darkroom-ticket+jwt" }, claims]);
        if (!["the second key still verifies", "claims as UTF-8", "claims with letters outside of ASCII"].includes(name)) {
            assert.equal(ticket, jwt); // the others are valid, but not what a signer in JavaScript writes
        }
    });
}

test("ticket by default is new and valid for ten minutes", async () => {
    const [one, other] = [parts(await signTicket(KEY))[1], parts(await signTicket(KEY))[1]];

    assert.deepEqual(Object.keys(one), ["exp", "jti"]);
    assert.equal(one.exp, tickets.now + 600);
    assert.notEqual(one.jti, other.jti);
});

/** Signs a ticket with these claims, and returns what it says. */
async function sign({ exp, jti, ...options }) {
    const lifetime = exp === undefined ? {} : { lifetime: exp - tickets.now };
    return parts(await signTicket(KEY, { ...options, ...lifetime, ...(jti === undefined ? {} : { ticketId: jti }) }))[1];
}

for (const { name, claims } of tickets.sign) {
    test(`ticket with a value at its limit is signed: ${name}`, async () => {
        const signed = await sign(claims);

        assert.deepEqual({ ...signed, ...claims }, signed);
    });
}

for (const { name, claims } of tickets.refuseToSign) {
    test(`ticket with a value that the server refuses is not signed: ${name}`, async () => {
        const [claim] = Object.keys(claims);
        const option = { exp: "lifetime", jti: "ticketId" }[claim] ?? claim;

        await assert.rejects(sign(claims), (error) => error instanceof TypeError && error.message.includes(option));
    });
}

test("ticket with null, half a surrogate pair or no whole seconds is not signed", async () => {
    for (const options of [{ owner: null }, { metadata: null }, { focus: null }, { metadata: { a: "\ud800" } }, { lifetime: 1.5 }]) {
        await assert.rejects(signTicket(KEY, options), TypeError, JSON.stringify(options));
    }
});

for (const { name, keys, claims, jwt } of receipts.verify) {
    test(`receipt of the vector is verified: ${name}`, async () => {
        const { uploadId, owner, sha256 } = claims;
        assert.deepEqual(await verifyReceipt(jwt, keys, { owner }), { uploadId, owner, sha256 });
    });
}

for (const { name, keys, owner, jwt } of receipts.refuse) {
    test(`receipt of the vector is refused: ${name}`, async () => {
        await assert.rejects(verifyReceipt(jwt, keys, { owner }), VerificationError);
    });
}

test("receipt that is no text, or deeply nested, is refused", async () => {
    const deep = `${"W1tb".repeat(200_000)}.${"W1tb".repeat(200_000)}.${"a".repeat(43)}`;
    for (const receipt of [null, undefined, 1, [], {}, deep]) {
        await assert.rejects(verifyReceipt(receipt, KEY, { owner: null }), VerificationError);
    }
});

test("short key is a mistake of the program, not of the receipt", async () => {
    await assert.rejects(verifyReceipt("a.b.c", "short", { owner: null }), TypeError);
});
