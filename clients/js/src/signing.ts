/** Secrets and HMAC-SHA256 by Web Crypto, and the tokens that open private variants. */

import { checkUploadId } from "./urls.js";

/** Characters of a secret: the server's own minimum. `darkroom keys secret` prints one of 43. */
export const MIN_KEY_LENGTH = 32;

const MAX_EXPIRES = 1e12; // Unix seconds: the largest time that the server reads has 12 digits

export type Bytes = Uint8Array<ArrayBuffer>;

/** What was to be verified is not genuine, or has expired. */
export class VerificationError extends Error {
    override readonly name = "VerificationError";
}

export interface TokenOptions {
    /** Seconds for which the token is valid at least; 3600 by default. */
    readonly lifetime?: number;
    /** The exact end instead, in Unix seconds. */
    readonly expires?: number;
}

/**
 * Returns a token for the private variants of one upload, to pass as `token` to `variantUrl`, `pictureHtml` and `<Picture>`.
 *
 * `keys` is the server's SIGNING_KEYS; the first signs. The end of the lifetime is rounded up by at most a quarter, so that pages
 * which are rendered soon after each other have the same URLs and browsers reuse the image. Throws TypeError for malformed
 * arguments.
 */
export async function signToken(uploadId: string, keys: string, options: TokenOptions = {}): Promise<string> {
    checkUploadId(uploadId);
    const key = splitKeys(keys)[0] as string;
    const expires = options.expires ?? roundedEnd(options.lifetime ?? 3600);
    if (!Number.isInteger(expires) || expires <= 0 || expires >= MAX_EXPIRES) {
        throw new TypeError(`a time is in Unix seconds, not ${expires}`);
    }
    return `v1.${expires}.${await signature(key, `v1:${uploadId}:${expires}`)}`;
}

function roundedEnd(lifetime: number): number {
    checkLifetime(lifetime);
    const step = Math.max(1, Math.floor(lifetime / 4));
    return Math.ceil((now() + lifetime) / step) * step;
}

/** Throws TypeError unless the lifetime is a whole number of seconds, and at least one. */
export function checkLifetime(lifetime: number): void {
    if (!Number.isInteger(lifetime) || lifetime < 1) {
        throw new TypeError(`a lifetime is at least one second, and whole, not ${lifetime}`);
    }
}

/** Returns the Unix time in whole seconds. */
export function now(): number {
    return Math.floor(Date.now() / 1000);
}

/**
 * Splits a setting such as SIGNING_KEYS at commas and line ends: the first key signs, all verify. Throws TypeError without a key,
 * and for one of fewer than 32 characters.
 */
export function splitKeys(keys: string): string[] {
    const found = String(keys ?? "").split(/[,\n]/).map((key) => key.trim()).filter(Boolean);
    if (found.length === 0) {
        throw new TypeError("there is no key: give the value of the server's SIGNING_KEYS or UPLOAD_KEYS");
    }
    if (found.some((key) => [...key].length < MIN_KEY_LENGTH)) {
        throw new TypeError(`a key has at least ${MIN_KEY_LENGTH} characters: \`darkroom keys secret\` prints one`);
    }
    return found;
}

export function encode(text: string): Bytes {
    return new TextEncoder().encode(text);
}

/** Imports a key for HMAC-SHA256. */
export function importKey(key: Bytes): Promise<CryptoKey> {
    return crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
}

/** Returns HMAC-SHA256 of `text` as unpadded base64url. The key's bytes are its UTF-8. */
export async function signature(key: string, text: string): Promise<string> {
    return toBase64url(new Uint8Array(await crypto.subtle.sign("HMAC", await importKey(encode(key)), encode(text))));
}

/** Whether one of the keys made the signature. Compares with all, in constant time. */
export async function isSigned(keys: readonly string[], text: string, given: string): Promise<boolean> {
    const bytes = fromBase64url(given);
    if (toBase64url(bytes) !== given) {
        return false; // another spelling of the same bytes
    }
    const matches = await Promise.all(
        keys.map(async (key) => crypto.subtle.verify("HMAC", await importKey(encode(key)), bytes, encode(text))),
    );
    return matches.includes(true);
}

/** Returns unpadded base64url, as JWTs and tokens have it. */
export function toBase64url(bytes: Uint8Array): string {
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join("")).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** Decodes base64url. Throws DOMException for other characters. */
export function fromBase64url(text: string): Bytes {
    return fromBase64(text.replace(/-/g, "+").replace(/_/g, "/"));
}

/** Decodes base64. Throws DOMException for other characters. */
export function fromBase64(text: string): Bytes {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}
