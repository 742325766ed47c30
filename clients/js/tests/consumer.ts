/** Compiled, not run: what an application writes has types, and what it must not write is an error. */

import { describeUpload, pictureHtml, upload, UploadError, variantUrl, type AcceptedUpload, type ConfiguredSizes } from "darkroom-client";
import { createLoader } from "darkroom-client/next";
import { Picture } from "darkroom-client/react";
import { signTicket, signToken, verifyReceipt, verifyWebhook, type Receipt } from "darkroom-client/server";
import { createElement } from "react";

declare const sizes: ConfiguredSizes;
declare const accepted: AcceptedUpload;

const url: string = variantUrl(accepted.uploadId, "small", { format: "webp", density: 2 });
const html: string = pictureHtml(describeUpload(sizes, accepted), { alt: "A cat", size: "small" });
const element = createElement(Picture, { upload: accepted, alt: "A cat", className: "photo", onLoad: () => {} });
const owner: string | null = accepted.owner;
const kinds: readonly string[] = accepted.visibility === "private" ? (accepted.privacy?.removed ?? []) : [];
const load: (image: { src: string; width: number }) => string = createLoader(sizes);

export async function backEnd(request: Request, keys: string): Promise<Receipt> {
    const event = await verifyWebhook(await request.text(), request.headers, "whsec_");
    const token: string = await signToken(accepted.uploadId, keys, { lifetime: 60 });
    const ticket: string = await signTicket(keys, { owner: "42", metadata: { a: [event.type, token] }, visibility: "private" });
    return verifyReceipt(ticket, keys, { owner: null });
}

export async function page(file: File, signal: AbortSignal): Promise<string> {
    try {
        return (await upload(file, { ticket: "t", signal, onProgress: ({ loaded, total }) => loaded / total })).uploadId;
    } catch (error) {
        return error instanceof UploadError ? `${error.code} ${error.status} ${error.retryAfter}` : "";
    }
}

// @ts-expect-error: an unknown format
variantUrl("id", "small", { format: "gif" });
// @ts-expect-error: a picture without an alternative text
createElement(Picture, { upload: accepted });
// @ts-expect-error: a receipt of nobody in particular
verifyReceipt("receipt", "keys");
// @ts-expect-error: `src` follows from the upload
createElement(Picture, { upload: accepted, alt: "", src: "/cat.jpg" });
