/** JSON Web Tokens (RFC 7519) with HS256 and a fixed `typ`: nothing else is signed, and nothing else verified. */

import { encode, fromBase64url, isSigned, now, signature, splitKeys, toBase64url, VerificationError } from "./signing.js";

const JWT = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})$/; // 43 characters: 256 bits

export type Claims = Readonly<Record<string, unknown>>;

/** Returns a JWT of `claims` with `kind` as its `typ`, signed by the first key. Throws TypeError for bad keys. */
export async function signJwt(claims: Claims, keys: string, kind: string): Promise<string> {
    const key = splitKeys(keys)[0] as string;
    const text = [{ alg: "HS256", typ: kind }, claims].map((part) => toBase64url(encode(JSON.stringify(part)))).join(".");
    return `${text}.${await signature(key, text)}`;
}

/**
 * Returns the claims of a JWT that one of the keys signed. Throws VerificationError if it is malformed, of another `typ` or
 * algorithm, not signed by one of the keys, or expired; TypeError for bad keys.
 */
export async function verifyJwt(token: unknown, keys: string, kind: string): Promise<Claims> {
    const secrets = splitKeys(keys);
    const [, head, payload, signed] = (typeof token === "string" && JWT.exec(token)) || [];
    if (!head || !payload || !signed || !(await isSigned(secrets, `${head}.${payload}`, signed))) {
        throw new VerificationError("the token is malformed, or was signed with another key");
    }
    const header = parse(head);
    const claims = parse(payload);
    // The algorithm is pinned: a token cannot choose how it is verified. No extension (`crit`) is understood.
    if (header["alg"] !== "HS256" || header["typ"] !== kind || "crit" in header) {
        throw new VerificationError(`the token is no ${kind} with HS256`);
    }
    const expires = claims["exp"];
    if (expires !== undefined && expires !== null && !(typeof expires === "number" && expires > now())) {
        throw new VerificationError("the token has expired");
    }
    return claims;
}

function parse(part: string): Claims {
    let parsed: unknown;
    try {
        parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(fromBase64url(part)));
    } catch {
        throw new VerificationError("the token holds no JSON");
    }
    if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
        throw new VerificationError("the token holds no JSON object");
    }
    return parsed as Claims;
}
