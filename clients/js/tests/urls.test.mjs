/** URLs from an id: exactly one form, and a rejection of everything else. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { variantUrl } from "darkroom-client";

import { ID } from "./vectors.mjs";

test("URL names size, density and format", () => {
    assert.equal(variantUrl(ID, "small"), `/images/${ID}/small.auto`);
    for (const format of ["auto", "jpg", "png", "webp", "avif"]) {
        assert.equal(variantUrl(ID, "card-2", { format }), `/images/${ID}/card-2.${format}`);
    }
    assert.equal(variantUrl(ID, "small", { density: 1 }), `/images/${ID}/small.auto`);
    assert.equal(variantUrl(ID, "small", { density: 3, format: "jpg" }), `/images/${ID}/small@3x.jpg`);
    for (const base of ["https://cdn.test/pictures", "https://cdn.test/pictures/"]) {
        assert.equal(variantUrl(ID, "small", { base }), `https://cdn.test/pictures/images/${ID}/small.auto`);
    }
});

const WRONG = {
    UUID: ["", "..", ID.toUpperCase(), ID.slice(1), `${ID}\n`, `${ID}/..`, ID.replaceAll("-", ""), undefined, [ID]].map((id) => [id, "small"]),
    size: ["", "Small", "../x", "small.jpg", "small@2x", "a b", "small\n", "x".repeat(33), "2x", null].map((size) => [ID, size]),
    format: ["", "jpeg", "JPG", "gif", "jpg?x"].map((format) => [ID, "small", { format }]),
    density: [0, 4, -1, 1.5, "2"].map((density) => [ID, "small", { density }]),
    signToken: ["", "v1", "v1.1.x", 'v1.1."><script>', `v1.1.${"a".repeat(43)}\n`, `v1.1.${"a".repeat(43)}&x=1`, 7].map((token) => [ID, "small", { token }]),
};

for (const [name, calls] of Object.entries(WRONG)) {
    test(`argument of another form is refused: ${name}`, () => {
        for (const call of calls) {
            assert.throws(() => variantUrl(...call), (error) => error instanceof TypeError && error.message.includes(name), JSON.stringify(call));
        }
    });
}
