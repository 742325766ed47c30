/** Uploads from browsers, with progress, and from servers. */

import type { AcceptedUpload, Visibility } from "./documents.js";

const TIMEOUT = 180_000; // milliseconds of one attempt: the server allows 10 MB 160 seconds
const MAX_PAUSE = 30; // seconds between two attempts, whatever the server says

/** The form's fields besides the file. A ticket's claims win over them; `owner` and `visibility` only the ticket may name. */
export interface UploadFields {
    readonly owner?: string;
    readonly externalId?: string;
    readonly metadata?: Readonly<Record<string, unknown>>;
    readonly visibility?: Visibility;
    readonly focus?: string;
}

export interface UploadOptions {
    /** The server's `PUBLIC_URL`; without it, the page's own origin. */
    readonly base?: string;
    /** From your back end (`signTicket`), for one upload. */
    readonly ticket?: string;
    /** A key of `API_KEYS`, on a server. Never give one to a browser. */
    readonly key?: string;
    /** Makes repeated calls one upload. A ticket does so by itself. */
    readonly idempotencyKey?: string;
    readonly fields?: UploadFields;
    /** Called while the bytes are sent. Starts again with each attempt. Only where there is XMLHttpRequest: in browsers. */
    readonly onProgress?: (progress: { readonly loaded: number; readonly total: number }) => void;
    /** Aborts the upload and the waiting between attempts; `upload` then throws the signal's reason. */
    readonly signal?: AbortSignal;
    /** Attempts after the first; 3 by default. */
    readonly retries?: number;
    /** Milliseconds that one attempt may take; 180,000 by default. */
    readonly timeout?: number;
}

/** A refused or failed upload. `message` is a sentence for people. */
export class UploadError extends Error {
    override readonly name = "UploadError";
    /** The problem's stable code, such as `too_large`; `network` and `timeout` where no response came, `http` without a problem. */
    readonly code: string;
    /** Of the response; 0 where none came. */
    readonly status: number;
    /** Seconds after which to try again, if the server says so. */
    readonly retryAfter: number | null;

    constructor(message: string, code: string, status: number, retryAfter: number | null = null) {
        super(message);
        this.code = code;
        this.status = status;
        this.retryAfter = retryAfter;
    }
}

/**
 * Uploads an image and returns the server's JSON. Tries again after a 503, and with a ticket or an idempotency key also after a
 * network error and while the server still works on an earlier attempt. Throws UploadError, or the signal's reason.
 */
export async function upload(file: Blob, options: UploadOptions = {}): Promise<AcceptedUpload> {
    const { retries = 3, signal } = options;
    for (let attempt = 0; ; attempt++) {
        signal?.throwIfAborted();
        try {
            return await attemptUpload(file, options);
        } catch (error) {
            if (!(error instanceof UploadError) || attempt >= retries || !isRetryable(error, options)) {
                throw error;
            }
            await pause(Math.min(error.retryAfter ?? 2 ** attempt, MAX_PAUSE), signal);
        }
    }
}

function isRetryable(error: UploadError, { ticket, idempotencyKey }: UploadOptions): boolean {
    const isIdempotent = ticket !== undefined || idempotencyKey !== undefined;
    return error.status === 503 || error.code === "in_progress" || (isIdempotent && error.status === 0);
}

interface Reply {
    readonly status: number;
    readonly text: string;
    readonly retryAfter: string | null;
}

async function attemptUpload(file: Blob, options: UploadOptions): Promise<AcceptedUpload> {
    const send = typeof XMLHttpRequest === "undefined" ? sendByFetch : sendByXhr;
    const url = `${(options.base ?? "").replace(/\/+$/, "")}/images/upload`;
    const { status, text, retryAfter } = await send(url, form(file, options.fields), headers(options), options);
    const document = parse(text);
    if (status === 201 && document !== null) {
        return document as unknown as AcceptedUpload;
    }
    const message = typeof document?.["detail"] === "string" ? document["detail"] : `The server answered with ${status}.`;
    const code = typeof document?.["code"] === "string" ? document["code"] : "http";
    throw new UploadError(message, code, status, /^[0-9]{1,6}$/.test(retryAfter ?? "") ? Number(retryAfter) : null);
}

function form(file: Blob, fields: UploadFields = {}): FormData {
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) {
        if (value !== undefined) {
            form.append(name, typeof value === "string" ? value : JSON.stringify(value)); // before the file, so that they are read first
        }
    }
    form.append("image", file);
    return form;
}

function headers({ ticket, key, idempotencyKey }: UploadOptions): Record<string, string> {
    const bearer = ticket ?? key;
    return {
        Accept: "application/json",
        ...(bearer === undefined ? {} : { Authorization: `Bearer ${bearer}` }),
        ...(idempotencyKey === undefined ? {} : { "Idempotency-Key": idempotencyKey }),
    };
}

function sendByXhr(url: string, body: FormData, headers: Record<string, string>, options: UploadOptions): Promise<Reply> {
    const { onProgress, signal, timeout = TIMEOUT } = options;
    return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest();
        const onAbort = () => request.abort();
        const settle = (act: () => void) => () => {
            signal?.removeEventListener("abort", onAbort);
            act();
        };
        request.open("POST", url);
        request.timeout = timeout;
        for (const [name, value] of Object.entries(headers)) {
            request.setRequestHeader(name, value);
        }
        if (onProgress) {
            // Any listener here makes a cross-origin request need a preflight; Authorization needs it anyway.
            request.upload.onprogress = ({ loaded, total }) => onProgress({ loaded, total });
        }
        request.onload = settle(() =>
            resolve({ status: request.status, text: request.responseText, retryAfter: request.getResponseHeader("Retry-After") }),
        );
        request.onerror = settle(() => reject(noResponse()));
        request.ontimeout = settle(() => reject(timedOut(timeout)));
        request.onabort = settle(() => reject(signal?.reason ?? noResponse()));
        signal?.addEventListener("abort", onAbort);
        request.send(body);
    });
}

async function sendByFetch(url: string, body: FormData, headers: Record<string, string>, options: UploadOptions): Promise<Reply> {
    const { signal, timeout = TIMEOUT } = options;
    const controller = new AbortController();
    const onAbort = () => controller.abort();
    const timer = setTimeout(onAbort, timeout);
    signal?.addEventListener("abort", onAbort);
    try {
        const response = await fetch(url, { method: "POST", body, headers, signal: controller.signal });
        return { status: response.status, text: await response.text(), retryAfter: response.headers.get("Retry-After") };
    } catch {
        signal?.throwIfAborted();
        throw controller.signal.aborted ? timedOut(timeout) : noResponse();
    } finally {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
    }
}

function noResponse(): UploadError {
    return new UploadError("The server could not be reached. Check the connection and try again.", "network", 0);
}

function timedOut(timeout: number): UploadError {
    return new UploadError(`The upload took more than ${timeout / 1000} seconds.`, "timeout", 0);
}

function parse(text: string): Record<string, unknown> | null {
    try {
        const parsed: unknown = JSON.parse(text);
        return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : null;
    } catch {
        return null;
    }
}

function pause(seconds: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
        const onAbort = () => {
            clearTimeout(timer);
            reject(signal?.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", onAbort);
            resolve();
        }, seconds * 1000);
        signal?.addEventListener("abort", onAbort);
    });
}
