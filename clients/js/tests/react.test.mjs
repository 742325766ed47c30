/** `<Picture>`, rendered by React. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { describeUpload, pictureHtml } from "darkroom-client";
import { Picture } from "darkroom-client/react";
import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";

import { load } from "./vectors.mjs";

const { configured, uploadId, cases } = load("pictures.json");
const upload = describeUpload(configured, { uploadId, ...cases[0] });

/** The elements of markup: their names and attributes, in any order. `style` without spaces. */
function elements(html) {
    return [...html.matchAll(/<([a-z]+)((?: [a-z-]+="[^"]*")*)\/?>/gi)].map(([, tag, text]) => [
        tag,
        Object.fromEntries([...text.matchAll(/ ([a-z-]+)="([^"]*)"/gi)].map(([, name, value]) => [name.toLowerCase(), value])),
    ]);
}

test("markup is that of pictureHtml", () => {
    const options = { sizes: "50vw", alt: 'A "cat" & <b>', size: "small", loading: "eager" };

    const html = renderToStaticMarkup(createElement(Picture, { upload, ...options }));

    assert.deepEqual(elements(html), elements(pictureHtml(upload, options)));
    assert.equal(elements(html).length, 4);
});

test("other attributes go to the image, and a style is added to the placeholder", () => {
    const html = renderToStaticMarkup(createElement(Picture, { upload, alt: "", className: "photo", style: { objectFit: "cover" } }));

    const [tag, attributes] = elements(html).at(-1);
    assert.equal(tag, "img");
    assert.equal(attributes.class, "photo");
    assert.match(attributes.style, /^background:#[0-9a-f]{6} url\(data:image\/png;base64,[^)]+\) center\/cover;object-fit:cover$/);
    assert.equal(attributes.loading, "lazy");
});

test("placeholder that is switched off leaves no style", () => {
    const html = renderToStaticMarkup(createElement(Picture, { upload, alt: "", placeholder: false }));

    assert.ok(!html.includes("style="));
});
