/** Verifies webhooks, which are signed as Standard Webhooks (https://www.standardwebhooks.com). */

import { encode, fromBase64, importKey, now, VerificationError, type Bytes } from "./signing.js";

const TOLERANCE = 300; // seconds: the five minutes of Standard Webhooks' own libraries
const SIGNATURE = /^v1,([A-Za-z0-9+/]{43}=)$/; // 32 bytes
const PREFIX = "whsec_";

/** `data`: the JSON of `GET /images/{uploadId}`. */
export interface WebhookEvent {
    readonly type: string;
    readonly timestamp: string;
    readonly data: Readonly<Record<string, unknown>>;
}

/** Headers of a `Request`, or those of Node's `IncomingMessage`. */
export type RequestHeaders = Headers | Readonly<Record<string, string | readonly string[] | undefined>>;

/**
 * Returns the JSON of a webhook that Darkroom sent.
 *
 * `body`: the bytes or the text as they arrived, before any parsing. `secret`: the server's WEBHOOK_SECRET; several, separated by
 * commas, while you change it. `tolerance`: seconds by which the webhook's time may differ from now. A webhook may arrive twice:
 * its `webhook-id` is the same both times. Throws VerificationError if it is not genuine or too old, TypeError if the secret is
 * malformed.
 */
export async function verifyWebhook(
    body: string | Uint8Array | ArrayBuffer,
    headers: RequestHeaders,
    secret: string,
    { tolerance = TOLERANCE }: { tolerance?: number } = {},
): Promise<WebhookEvent> {
    const keys = String(secret ?? "").split(",").map((each) => decodeSecret(each.trim()));
    const id = header(headers, "webhook-id");
    const moment = header(headers, "webhook-timestamp");
    if (!id || !/^[0-9]{1,12}$/.test(moment)) {
        throw new VerificationError("the request has no webhook-id and webhook-timestamp");
    }
    const bytes = typeof body === "string" ? encode(body) : new Uint8Array(body);
    const signed = join(encode(`${id}.${moment}.`), bytes);
    const given = header(headers, "webhook-signature").split(" ").flatMap((each) => SIGNATURE.exec(each)?.[1] ?? []);
    const imported = await Promise.all(keys.map(importKey));
    // Compare all with all, in constant time.
    const matches = await Promise.all(
        imported.flatMap((key) => given.map((each) => crypto.subtle.verify("HMAC", key, fromBase64(each), signed))),
    );
    if (!matches.includes(true)) {
        throw new VerificationError("the webhook was signed with another secret, or changed on its way");
    }
    if (Math.abs(now() - Number(moment)) > tolerance) {
        throw new VerificationError(`the webhook's time differs from now by more than ${tolerance} seconds`);
    }
    try {
        return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as WebhookEvent;
    } catch {
        throw new VerificationError("the webhook holds no JSON");
    }
}

function decodeSecret(secret: string): Bytes {
    const text = secret.startsWith(PREFIX) ? secret.slice(PREFIX.length) : secret;
    if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text) || text === "") {
        throw new TypeError("a webhook's secret is `whsec_` and base64");
    }
    return fromBase64(text);
}

function header(headers: RequestHeaders, name: string): string {
    if (typeof (headers as Headers).get === "function") {
        return (headers as Headers).get(name) ?? "";
    }
    const found = Object.entries(headers).find(([each]) => each.toLowerCase() === name)?.[1];
    return typeof found === "string" ? found : (found?.join(", ") ?? "");
}

function join(first: Bytes, second: Uint8Array): Bytes {
    const joined = new Uint8Array(first.length + second.length);
    joined.set(first);
    joined.set(second, first.length);
    return joined;
}
