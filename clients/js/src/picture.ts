/** A `<picture>` element: AVIF and WebP for browsers that support them, else JPEG or PNG, with a placeholder. */

import type { DisplayedSize, Placeholder, Upload } from "./documents.js";
import { checkToken } from "./urls.js";

const COLOR = /^#[0-9a-f]{6}$/;
const DATA_URL = /^data:image\/png;base64,[A-Za-z0-9+/]{1,4096}={0,2}$/; // the server's have some 300; a longer one could unpack to gigabytes
const MEDIA_TYPES = { avif: "image/avif", webp: "image/webp" }; // in the order in which browsers should try them
const ANIMATED = "animated"; // the effect of sizes that show this upload as an animation
const ESCAPES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;" };

export interface PartsOptions {
    /**
     * A configured size; the element offers all sizes with its aspect ratio, its effects and at least its formats. The largest
     * without effects by default. Of a small original, a size that only repeats the pixels of another stands for that one.
     */
    readonly size?: string | undefined;
    /** `false` leaves out the `style` attribute, for pages whose Content-Security-Policy forbids inline styles. */
    readonly placeholder?: boolean | undefined;
    /** Of `signToken`, for a private upload; null or undefined for a public one. */
    readonly token?: string | null | undefined;
}

export interface PictureOptions extends PartsOptions {
    /** HTML's attribute: how wide the page shows the image. `100vw` by default. */
    readonly sizes?: string | undefined;
    /** The alternative text; leave it empty only for decoration. */
    readonly alt?: string | undefined;
    /** `lazy` by default; use `eager` for images at the top of the page. */
    readonly loading?: "lazy" | "eager" | undefined;
}

/** The attributes of a `<picture>` element, for a template or a framework of your own. Nothing is escaped. */
export interface PictureParts {
    readonly sources: readonly { readonly type: string; readonly srcset: string }[];
    readonly src: string;
    readonly srcset: string;
    readonly width: number;
    readonly height: number;
    /** The CSS property `background` of the placeholder; null without one. */
    readonly background: string | null;
}

/** Returns a `<picture>` element for an upload. All values are escaped. Throws TypeError for malformed arguments. */
export function pictureHtml(upload: Upload, options: PictureOptions = {}): string {
    const { sizes = "100vw", alt = "", loading = "lazy" } = options;
    if (loading !== "lazy" && loading !== "eager") {
        throw new TypeError(`loading is lazy or eager, not ${JSON.stringify(loading)}`);
    }
    const parts = pictureParts(upload, options);
    const candidates = (srcset: string) => ` srcset="${escape(srcset)}" sizes="${escape(sizes)}"`;
    const sources = parts.sources.map(({ type, srcset }) => `<source type="${type}"${candidates(srcset)}>`).join("");
    const style = parts.background === null ? "" : ` style="background:${escape(parts.background)}"`;
    return (
        `<picture>${sources}<img src="${escape(parts.src)}"${candidates(parts.srcset)}` +
        ` width="${parts.width}" height="${parts.height}"` +
        ` alt="${escape(alt)}" loading="${loading}" decoding="async"${style}></picture>`
    );
}

/** Returns the attributes of a `<picture>` element. Throws TypeError if the upload has no such size, or is not the API's JSON. */
export function pictureParts(upload: Upload, options: PartsOptions = {}): PictureParts {
    if (typeof upload?.urls !== "object" || typeof upload.sizes !== "object" || typeof upload.placeholder?.color !== "string") {
        throw new TypeError("this is not the JSON of an upload from Darkroom's API");
    }
    const suffix = tokenSuffix(upload, options.token);
    const chosen = choose(upload, options.size);
    const box = boxOf(upload, chosen);
    const family = ofSameShape(upload, chosen);
    const url = (name: string, format: string) => {
        const found = upload.urls[name]?.[format];
        if (typeof found !== "string") {
            throw new TypeError(`the upload has no URL of ${name}.${format}: this is not the JSON of Darkroom's API`);
        }
        return found + suffix;
    };
    const srcset = (format: string) => family.map((name) => `${url(name, format)} ${boxOf(upload, name).width}w`).join(", ");
    const effects = effectsOf(box).map((effect) => effect.split(" ", 1)[0]);
    // Transparent images have no preview; padded sizes of them are opaque. If it is not known, the server chooses.
    const isOpaque = upload.placeholder.dataUrl !== null || effects.includes("pad");
    const formats = Object.keys(upload.urls[chosen] ?? {});
    const fallback = (isOpaque ? ["jpg", "png"] : ["auto", "png", "jpg"]).find((format) => formats.includes(format)) ?? "jpg";
    // The preview shows the original: it would fill the bars of `pad` and colour what is grey.
    const looksAlike = !effects.includes("pad") && !effects.includes("grayscale");
    return {
        sources: Object.entries(MEDIA_TYPES)
            .filter(([format]) => formats.includes(format))
            .filter(([format]) => format !== "avif" || !effects.includes(ANIMATED)) // only WebP shows the animation
            .map(([format, type]) => ({ type, srcset: srcset(format) })),
        src: url(chosen, fallback),
        srcset: srcset(fallback),
        width: box.width,
        height: box.height,
        background: options.placeholder !== false && looksAlike ? background(upload.placeholder) : null,
    };
}

function tokenSuffix(upload: Upload, token: string | null = null): string {
    if (token === null) {
        return "";
    }
    checkToken(token);
    if (Object.values(upload.urls).some((formats) => Object.values(formats).some((url) => !url.includes("/private/")))) {
        throw new TypeError("the upload is public: its URLs take no token");
    }
    return `?token=${token}`;
}

function choose(upload: Upload, size: string | undefined): string {
    const names = Object.keys(upload.urls);
    if (size === undefined) {
        const [first, ...others] = names;
        if (first === undefined) {
            throw new TypeError("the upload has no URLs");
        }
        return others.reduce((best, name) => (rank(boxOf(upload, name)) > rank(boxOf(upload, best)) ? name : best), first);
    }
    if (Object.hasOwn(upload.urls, size)) {
        return size;
    }
    if (!Object.hasOwn(upload.sizes, size)) {
        throw new TypeError(`the upload has the sizes ${Object.keys(upload.sizes).join(", ")}, not ${JSON.stringify(size)}`);
    }
    // `urls` lacks a size that repeats the pixels of another: take that one.
    const wanted = boxOf(upload, size);
    const same = names.find((name) => isSameBox(boxOf(upload, name), wanted));
    if (same === undefined) {
        throw new TypeError(`the upload has neither URLs of the size ${size} nor of another with its pixels`);
    }
    return same;
}

/** Sizes without effects first, then wider ones. */
function rank(box: DisplayedSize): number {
    return box.width + (effectsOf(box).every((effect) => effect === ANIMATED) ? 1e9 : 0);
}

function boxOf(upload: Upload, name: string): DisplayedSize {
    const box = Object.hasOwn(upload.sizes, name) ? upload.sizes[name] : undefined;
    if (!Number.isInteger(box?.width) || !Number.isInteger(box?.height)) {
        throw new TypeError(`the upload has no dimensions of the size ${name}: this is not the JSON of Darkroom's API`);
    }
    return box as DisplayedSize;
}

function effectsOf(box: DisplayedSize): readonly string[] {
    return box.effects ?? [];
}

function haveSameEffects(one: DisplayedSize, other: DisplayedSize): boolean {
    return JSON.stringify(effectsOf(one)) === JSON.stringify(effectsOf(other));
}

function isSameBox(one: DisplayedSize, other: DisplayedSize): boolean {
    return one.width === other.width && one.height === other.height && haveSameEffects(one, other);
}

/**
 * Names of the sizes with the aspect ratio (up to rounding), the effects and the formats of `chosen`, by width. HTML allows each
 * width only once: that of `chosen` is its own.
 */
function ofSameShape(upload: Upload, chosen: string): string[] {
    const same = new Map<number, string>();
    const like = boxOf(upload, chosen);
    const formats = Object.keys(upload.urls[chosen] ?? {});
    for (const [name, urls] of Object.entries(upload.urls)) {
        const box = boxOf(upload, name);
        if (formats.some((format) => !Object.hasOwn(urls, format))) {
            continue;
        }
        const tolerance = Math.max(box.width, box.height, like.width, like.height);
        if (Math.abs(box.width * like.height - box.height * like.width) <= tolerance && haveSameEffects(box, like)) {
            same.set(box.width, box.width === like.width ? chosen : name);
        }
    }
    return [...same].sort(([one], [other]) => one - other).map(([, name]) => name);
}

/** The colour, and the preview over it; null for transparent images, which would let it show through. */
function background({ color, dataUrl }: Placeholder): string | null {
    if (dataUrl === null) {
        return null;
    }
    if (!COLOR.test(color)) {
        throw new TypeError(`a placeholder's colour is #rrggbb, not ${JSON.stringify(color)}`);
    }
    if (typeof dataUrl !== "string" || !DATA_URL.test(dataUrl)) {
        throw new TypeError(`a placeholder's dataUrl is a small PNG in a data: URL, not ${String(dataUrl).slice(0, 100)}`);
    }
    return `${color} url(${dataUrl}) center/cover`;
}

function escape(text: string): string {
    return String(text).replace(/[&<>"']/g, (character) => ESCAPES[character] as string);
}
