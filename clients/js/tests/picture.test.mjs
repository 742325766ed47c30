/** Picture elements and descriptions are the server's, which wrote `pictures.json`. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { describeUpload, pictureHtml, pictureParts, variantUrl } from "darkroom-client";
import { signToken } from "darkroom-client/server";

import { ID, KEY, load } from "./vectors.mjs";

const { configured, uploadId, cases } = load("pictures.json");
const NASTY = `"><script>alert('&')</script>`;
const PREVIEW = "data:image/png;base64,iVBORw0KGgo+/w==";

function upload({ preview = PREVIEW, color = "#7a6b5c", folder = "" } = {}) {
    const boxes = { small: [150, 150], large: [800, 800], wide: [600, 200], widest: [1200, 400] };
    const formats = ["jpg", "png", "webp", "avif"];
    return {
        sizes: Object.fromEntries(Object.entries(boxes).map(([name, [width, height]]) => [name, { width, height }])),
        urls: Object.fromEntries(
            Object.keys(boxes).map((name) => [name, Object.fromEntries(formats.map((format) => [format, `${folder}/${name}.${format}`]))]),
        ),
        placeholder: { thumbhash: "", color, dataUrl: preview },
    };
}

for (const { dimensions, placeholder, animated, sizes, offered, picture, size, widest } of cases) {
    test(`upload of ${dimensions.width}x${dimensions.height} is described as the server does`, () => {
        const described = describeUpload(configured, { uploadId, dimensions, placeholder, animated });

        assert.deepEqual(described.sizes, sizes);
        const formats = Object.entries(described.urls).map(([name, each]) => [name, Object.keys(each).join(" ")]);
        assert.deepEqual(formats, Object.entries(offered));
        assert.equal(pictureHtml(described), widest);
        assert.equal(pictureHtml(described, { sizes: "50vw", alt: 'A "cat" & <b>', size }), picture);
    });
}

test("an unknown animation counts as one", () => {
    const [{ dimensions }] = cases;
    const html = (known) => pictureHtml(describeUpload(configured, { uploadId, dimensions, ...known }), { size: "clip" });

    assert.equal(html({}), html({ animated: true }));
    assert.ok(!html({}).includes(".avif"));
    assert.ok(html({ animated: false }).includes(".avif"));
});

test("description without a placeholder lets the server choose the fallback", () => {
    const parts = pictureParts(describeUpload(configured, { uploadId, dimensions: cases[0].dimensions }), { size: "small" });

    assert.equal(parts.src, `https://cdn.example.com/images/${uploadId}/small.auto`);
    assert.match(parts.srcset, /^https:\S+\.auto \d+w(, https:\S+\.auto \d+w)*$/);
    assert.equal(parts.background, null);
});

test("description of a private upload has private URLs, and its picture the token in each", async () => {
    const described = describeUpload(configured, { uploadId, dimensions: cases[0].dimensions, visibility: "private" });
    const token = await signToken(ID, KEY);

    const html = pictureHtml(described, { token });

    assert.equal(described.urls.small.webp, `https://cdn.example.com/private/${uploadId}/small.webp`);
    assert.ok(!JSON.stringify(described).includes("/images/"));
    assert.equal(html.split("/private/").length, html.split(`?token=${token}`).length);
    assert.ok(html.split("/private/").length > 4);
    assert.throws(() => pictureHtml(upload({ folder: "/images/x" }), { token }), /public/);
    assert.throws(() => pictureHtml(described, { token: "x" }), /signToken/);
});

test("null is no token", () => {
    assert.equal(pictureHtml(upload(), { token: null }), pictureHtml(upload()));
    assert.equal(variantUrl(ID, "small", { token: null }), variantUrl(ID, "small"));
    assert.throws(() => pictureHtml(upload(), { token: "" }), /signToken/);
});

test("malformed argument of a description is refused", () => {
    const known = { uploadId, dimensions: { width: 100, height: 100 } };
    for (const change of [
        { uploadId: "../x" },
        { dimensions: { width: 0, height: 1 } },
        { dimensions: { width: 1, height: 1.5 } },
        { dimensions: { width: 65_536, height: 1 } },
        { dimensions: { width: 1, height: 1e308 } },
        { dimensions: { width: "100", height: 100 } },
        { dimensions: undefined },
        { visibility: "secret" },
    ]) {
        assert.throws(() => describeUpload(configured, { ...known, ...change }), TypeError, JSON.stringify(change));
    }
    for (const sizes of [null, undefined, {}, { base: "" }, { base: "", sizes: { x: {} } }]) {
        assert.throws(() => describeUpload(sizes, known), TypeError, JSON.stringify(sizes));
    }
});

test("values with markup are escaped", () => {
    const html = pictureHtml(upload({ folder: NASTY }), { sizes: NASTY, alt: NASTY });

    assert.ok(!html.includes("<script"));
    assert.ok(html.includes(`alt="&quot;&gt;&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;"`));
});

test("options become attributes", () => {
    const html = pictureHtml(upload(), { sizes: "50vw", alt: "A cat", loading: "eager", placeholder: false });

    assert.equal(html.split('sizes="50vw"').length, 4);
    assert.match(html, / alt="A cat" loading="eager" decoding="async"><\/picture>$/);
});

test("transparent image falls back to PNG, but not in a padded size", () => {
    const transparent = upload({ preview: null });
    assert.equal(pictureParts(transparent).src, "/widest.png");
    assert.equal(pictureParts(transparent).background, null);

    const padded = { ...transparent, sizes: { ...transparent.sizes, small: { width: 150, height: 150, effects: ["pad #00ff00"] } } };
    assert.equal(pictureParts(padded, { size: "small" }).src, "/small.jpg");
});

test("sources have the formats of the size, and sizes that have all of them", () => {
    const limited = upload();
    limited.urls.small = { png: "/small.png", webp: "/small.webp" };
    const offered = (size, document = limited) => {
        const { sources, srcset } = pictureParts(document, { size });
        return [...sources.map((source) => source.srcset), srcset];
    };

    assert.deepEqual(offered("small"), ["/small.webp 150w, /large.webp 800w", "/small.png 150w, /large.png 800w"]);
    assert.deepEqual(offered("large"), ["/large.avif 800w", "/large.webp 800w", "/large.jpg 800w"]);
    const transparent = upload({ preview: null });
    transparent.urls.small = { jpg: "/small.jpg" };
    assert.deepEqual(offered("small", transparent), ["/small.jpg 150w, /large.jpg 800w"]);
});

test("placeholder of a size that looks different is left out", () => {
    for (const effects of [["pad #ffffff"], ["grayscale"]]) {
        const other = upload();
        other.sizes.small.effects = effects;

        assert.equal(pictureParts(other, { size: "small" }).background, null);
        assert.equal(pictureParts(other, { size: "small" }).srcset, "/small.jpg 150w");
        assert.equal(pictureParts(other, { size: "large" }).background, `#7a6b5c url(${PREVIEW}) center/cover`);
    }
});

test("JSON of another shape is refused", () => {
    for (const document of [null, undefined, [], {}, "an upload", { code: "not_found" }]) {
        assert.throws(() => pictureHtml(document), TypeError, JSON.stringify(document));
    }
    for (const name of ["sizes", "urls", "placeholder"]) {
        for (const value of [null, {}, { wide: {} }, []]) {
            assert.throws(() => pictureHtml({ ...upload(), [name]: value }), TypeError, `${name} ${JSON.stringify(value)}`);
        }
    }
    for (const size of ["", "huge", "small.jpg", "constructor", "__proto__"]) {
        assert.throws(() => pictureHtml(upload(), { size }), /small, large, wide, widest/);
    }
    const lacking = upload();
    delete lacking.urls.small;
    assert.throws(() => pictureHtml(lacking, { size: "small" }), /neither URLs of the size small nor of another/);
    assert.throws(() => pictureHtml(upload(), { loading: "auto" }), /lazy or eager/);
});

test("placeholder that is no colour or no PNG is refused", () => {
    for (const color of ["red", "#fff", "#7a6b5c;x:url(//evil.test)", "#7A6B5C", ""]) {
        assert.throws(() => pictureHtml(upload({ color })), /colour/, color);
    }
    for (const preview of ["", "https://evil.test/1.png", "data:text/html;base64,AAAA", `${PREVIEW})`, `${PREVIEW}\n`, PREVIEW + "A".repeat(4100), 7]) {
        assert.throws(() => pictureHtml(upload({ preview })), /dataUrl/, String(preview));
    }
});
