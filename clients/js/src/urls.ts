/** URLs of variants from an upload's id. */

import type { Density, Format } from "./documents.js";

const UPLOAD_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const SIZE = /^[a-z][a-z0-9-]{0,31}$/;
const TOKEN = /^v1\.[0-9]{1,12}\.[A-Za-z0-9_-]{43}$/;
const FORMATS: readonly string[] = ["auto", "jpg", "png", "webp", "avif"];

export interface VariantOptions {
    /** `auto` by default: the server chooses by the client's `Accept`. */
    readonly format?: Format;
    /** For dense screens; 1 by default. */
    readonly density?: Density;
    /** The server's `CDN_URL` or `PUBLIC_URL`; without it the URL is a path. */
    readonly base?: string;
    /** Of `signToken`: makes it the URL of a private upload. Null or undefined for a public one. */
    readonly token?: string | null | undefined;
}

export function isUploadId(text: unknown): text is string {
    return typeof text === "string" && UPLOAD_ID.test(text);
}

/** Throws TypeError unless the id is a canonical lower-case UUID. */
export function checkUploadId(uploadId: string): void {
    if (!isUploadId(uploadId)) {
        throw new TypeError(`an upload's id is a lower-case UUID, not ${JSON.stringify(uploadId)}`);
    }
}

/** Throws TypeError for anything that does not look like a token of `signToken`. */
export function checkToken(token: string): void {
    if (typeof token !== "string" || !TOKEN.test(token)) {
        throw new TypeError("a token is what signToken returns");
    }
}

/**
 * Returns the URL of a variant. Throws TypeError for malformed arguments, so that client input cannot change the URL. Does not
 * check that the upload exists.
 */
export function variantUrl(uploadId: string, size: string, options: VariantOptions = {}): string {
    const { format = "auto", density = 1, base = "", token = null } = options;
    checkUploadId(uploadId);
    if (typeof size !== "string" || !SIZE.test(size)) {
        throw new TypeError(`lower-case letters, digits and hyphens make a size's name, not ${JSON.stringify(size)}`);
    }
    if (!FORMATS.includes(format)) {
        throw new TypeError(`a format is one of ${FORMATS.join(", ")}, not ${JSON.stringify(format)}`);
    }
    if (density !== 1 && density !== 2 && density !== 3) {
        throw new TypeError(`a density is 1, 2 or 3, not ${JSON.stringify(density)}`);
    }
    const name = `${density === 1 ? size : `${size}@${density}x`}.${format}`;
    const start = base.replace(/\/+$/, "");
    if (token === null) {
        return `${start}/images/${uploadId}/${name}`;
    }
    checkToken(token);
    return `${start}/private/${uploadId}/${name}?token=${token}`;
}
