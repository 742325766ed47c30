/** Uploads straight from browsers: tickets that allow one upload each, and receipts that prove what was uploaded. */

import type { Visibility } from "./documents.js";
import { signJwt, verifyJwt } from "./json-web-tokens.js";
import { checkLifetime, encode, now, VerificationError } from "./signing.js";
import { isUploadId } from "./urls.js";

const TICKET = "darkroom-ticket+jwt"; // the `typ` of each, so that neither passes for the other
const RECEIPT = "darkroom-receipt+jwt";
const MAX_TEXT = 128; // characters of `owner` and `externalId`
const MAX_METADATA = 4096; // bytes of JSON
const MAX_DEPTH = 16; // objects and arrays that `metadata` may nest
const MAX_LIFETIME = 86_400; // seconds: as long as the server knows a repeated upload by its ticket
const TICKET_ID = /^[!-~]{1,255}$/;
const FOCUS = /^(0(\.[0-9]{1,20})?|1(\.0{1,20})?),(0(\.[0-9]{1,20})?|1(\.0{1,20})?)$/;
const PRINTABLE = /^(?:[^\p{C}\p{Z}]| )*$/u;
const SHA256 = /^[0-9a-f]{64}$/;

export interface TicketOptions {
    /** Whose upload it is: usually the id of the signed-in user. At most 128 printable characters. */
    readonly owner?: string;
    /** Your own id of the image. At most 128 printable characters. */
    readonly externalId?: string;
    /** A JSON object of at most 4 KiB. */
    readonly metadata?: Readonly<Record<string, unknown>>;
    readonly visibility?: Visibility;
    /** `x,y`: shares of the sides of the upright image, from 0 to 1. */
    readonly focus?: string;
    /** The largest original, in bytes. */
    readonly maxBytes?: number;
    /** Seconds in which the upload must begin; 600 by default, a day at most. */
    readonly lifetime?: number;
    /** The `jti`, a new UUID by default; all uploads with the same one are one upload. */
    readonly ticketId?: string;
}

/** What a receipt proves: this upload exists, belongs to this owner, and its original has this SHA-256 (hex). */
export interface Receipt {
    readonly uploadId: string;
    readonly owner: string | null;
    readonly sha256: string;
}

/**
 * Returns a ticket with which a browser may upload one image. The browser sends it as `Authorization: Bearer TICKET`, or passes it to
 * `upload`. What the ticket says wins over the fields that the browser sends.
 *
 * `keys` is the server's UPLOAD_KEYS; the first signs. Throws TypeError for malformed arguments.
 */
export async function signTicket(keys: string, options: TicketOptions = {}): Promise<string> {
    const { lifetime = 600, ticketId, ...others } = options;
    for (const [name, text] of Object.entries({ owner: others.owner, externalId: others.externalId })) {
        if (text !== undefined && !(matches(text, PRINTABLE) && text !== "" && [...text].length <= MAX_TEXT)) {
            throw new TypeError(`${name} is text of 1 to ${MAX_TEXT} printable characters`);
        }
    }
    const { metadata, visibility, focus, maxBytes } = others;
    if (metadata !== undefined) {
        checkMetadata(metadata);
    }
    if (visibility !== undefined && visibility !== "public" && visibility !== "private") {
        throw new TypeError(`visibility is public or private, not ${JSON.stringify(visibility)}`);
    }
    if (focus !== undefined && !matches(focus, FOCUS)) {
        throw new TypeError(`focus is x,y, each from 0 to 1, not ${JSON.stringify(focus)}`);
    }
    if (maxBytes !== undefined && (!Number.isSafeInteger(maxBytes) || maxBytes < 1)) {
        throw new TypeError(`maxBytes is a whole number, at least 1, not ${maxBytes}`);
    }
    if (ticketId !== undefined && !matches(ticketId, TICKET_ID)) {
        throw new TypeError("ticketId has 1 to 255 visible ASCII characters");
    }
    checkLifetime(lifetime);
    if (lifetime > MAX_LIFETIME) {
        throw new TypeError(`a ticket's lifetime is at most ${MAX_LIFETIME} seconds, not ${lifetime}`);
    }
    const { owner, externalId } = others;
    const claims = {
        exp: now() + lifetime,
        jti: ticketId ?? crypto.randomUUID(),
        ...{ owner, externalId, metadata, visibility, focus, maxBytes }, // JSON leaves out what is undefined
    };
    return signJwt(claims, keys, TICKET);
}

function matches(text: unknown, pattern: RegExp): text is string {
    return typeof text === "string" && pattern.test(text);
}

/** Throws TypeError for what the server refuses. */
function checkMetadata(metadata: object): void {
    const json = JSON.stringify(metadata) ?? "";
    if (!json.startsWith("{")) {
        throw new TypeError("metadata is a JSON object");
    }
    if (encode(json).length > MAX_METADATA) {
        throw new TypeError(`metadata has at most ${MAX_METADATA} bytes of JSON`);
    }
    checkValue(JSON.parse(json), MAX_DEPTH);
}

function checkValue(value: unknown, depth: number): void {
    if (typeof value === "string" && /\0|\p{Cs}/u.test(value)) {
        throw new TypeError("metadata has no text with U+0000 or half of a surrogate pair");
    }
    if (typeof value === "object" && value !== null) {
        if (depth === 0) {
            throw new TypeError(`metadata nests at most ${MAX_DEPTH} objects and arrays`);
        }
        Object.entries(value).flat().forEach((each) => checkValue(each, depth - 1));
    }
}

/**
 * Returns what the `receipt` of an upload proves. A client sends it; without it, an upload id proves nothing.
 *
 * `keys` is the server's UPLOAD_KEYS. `owner`: the one that your ticket named, usually the signed-in user, so that no user
 * sends the receipt of another user; null if your tickets name none. A receipt can be sent twice: keep upload ids unique in your
 * database. Throws VerificationError if the receipt is not genuine or of another owner.
 */
export async function verifyReceipt(receipt: unknown, keys: string, { owner }: { owner: string | null }): Promise<Receipt> {
    const claims = await verifyJwt(receipt, keys, RECEIPT);
    const { uploadId, sha256 } = claims;
    if (!isUploadId(uploadId)) {
        throw new VerificationError("the receipt names no upload");
    }
    if (typeof sha256 !== "string" || !SHA256.test(sha256)) {
        throw new VerificationError("the receipt has no SHA-256");
    }
    if ((claims["owner"] ?? null) !== owner) {
        throw new VerificationError("the receipt is of another owner");
    }
    return { uploadId, owner, sha256 };
}
