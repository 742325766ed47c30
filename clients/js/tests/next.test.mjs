/** The loader for `next/image`. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { createLoader } from "darkroom-client/next";
import { signToken } from "darkroom-client/server";

import { ID, KEY, load } from "./vectors.mjs";

const { configured } = load("pictures.json");

function names(loader, widths) {
    return widths.map((width) => loader({ src: ID, width }).split("/").at(-1));
}

test("width becomes the next larger one of the sizes that only have a width", () => {
    const loader = createLoader(configured);

    assert.equal(loader({ src: ID, width: 320 }), `https://cdn.example.com/images/${ID}/w320.auto`);
    assert.deepEqual(names(loader, [1, 320, 321, 640, 641, 960, 961, 1280, 1281, 1920, 3840, 9999]), [
        ...["w320.auto", "w320.auto", "w640.auto", "w640.auto", "w320@3x.auto", "w320@3x.auto"],
        ...["sharp.auto", "sharp.auto", "w640@3x.auto", "w640@3x.auto", "sharp@3x.auto", "w1280@3x.auto"],
    ]);
});

test("size that is named selects those of its shape and effects, with all of its formats", () => {
    assert.deepEqual(names(createLoader(configured, { size: "small" }), [100, 300, 301, 9999]), [
        ...["small.auto", "square.auto", "small@3x.auto", "square@3x.auto"],
    ]);
    assert.deepEqual(names(createLoader(configured, { size: "grey" }), [100, 600, 9999]), ["grey.auto", "grey@2x.auto", "grey@3x.auto"]);
});

test("without sizes of a width alone, the widest without effects is taken", () => {
    const { small, large, square } = configured.sizes;

    const loader = createLoader({ base: "", sizes: { large, small, square } });

    assert.equal(loader({ src: ID, width: 100 }), `/images/${ID}/small.auto`);
});

test("private image has its token in the source", async () => {
    const token = await signToken(ID, KEY);

    assert.equal(
        createLoader(configured)({ src: `${ID}?token=${token}`, width: 300 }),
        `https://cdn.example.com/private/${ID}/w320.auto?token=${token}`,
    );
});

test("unknown size, one without a width, and a source that is no id are refused", () => {
    assert.throws(() => createLoader(configured, { size: "huge" }), /small, large/);
    assert.throws(() => createLoader(configured, { size: "tall" }), /width/);
    assert.throws(() => createLoader({ base: "", sizes: {} }), /width/);
    for (const src of ["/cat.jpg", "https://evil.test/x", `${ID}?token=x`, ""]) {
        assert.throws(() => createLoader(configured)({ src, width: 100 }), TypeError, src);
    }
});
