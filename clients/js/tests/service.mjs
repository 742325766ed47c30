/**
 * The client against a real service, started by tests/integration/test_js_client.py: uploads with a key, makes a srcset from `GET /sizes`,
 * and loads every candidate. Prints what it found as JSON.
 */

import { readFile } from "node:fs/promises";

import { describeUpload, pictureHtml, pictureParts, upload, variantUrl } from "darkroom-client";

const [base, key, path] = process.argv.slice(2);
const file = new Blob([await readFile(path)]);

const refused = await upload(file, { base, key: "wrong", retries: 0 }).catch(({ name, code, status, message }) => ({ name, code, status, message }));
const unsupported = await upload(new Blob(["GIF89a"]), { base, key }).catch(({ name, code, status }) => ({ name, code, status }));
const accepted = await upload(file, { base, key, idempotencyKey: "from-node", fields: { focus: "0.25,0.5" } });
const repeated = await upload(file, { base, key, idempotencyKey: "from-node", fields: { focus: "0.25,0.5" } });

const sizes = await (await fetch(`${base}/sizes`)).json();
const { uploadId, dimensions, placeholder } = accepted;
const described = describeUpload(sizes, { uploadId, dimensions, placeholder });
const parts = pictureParts(described);
const candidates = [...parts.sources.map(({ srcset }) => srcset), parts.srcset].flatMap((srcset) => srcset.split(", "));
const loaded = [];
for (const candidate of candidates) {
    const [url, width] = candidate.split(" ");
    const response = await fetch(new URL(url, base));
    loaded.push([response.status, response.headers.get("content-type"), width, (await response.arrayBuffer()).byteLength > 0]);
}
const negotiated = await fetch(variantUrl(uploadId, "small", { base, density: 2 }), { headers: { Accept: "image/avif" } });
await negotiated.arrayBuffer();

const same = (name) => JSON.stringify(described[name]) === JSON.stringify(accepted[name]);
console.log(
    JSON.stringify({
        refused,
        unsupported,
        uploadId,
        focus: accepted.focus,
        repeated: repeated.uploadId === uploadId,
        same: same("sizes") && same("urls"),
        picture: pictureHtml(described),
        loaded,
        negotiated: [negotiated.status, negotiated.headers.get("content-type")],
    }),
);
