/** An upload's sizes and URLs from its id and its dimensions, as the server lists them: no request is needed. */

import type { ConfiguredSize, ConfiguredSizes, Dimensions, DisplayedSize, Placeholder, Upload, Visibility } from "./documents.js";
import { checkUploadId } from "./urls.js";

const MAX_SIDE = 65_535; // pixels: more than any server accepts
const UNKNOWN: Placeholder = { thumbhash: "", color: "", dataUrl: null };

/** The data of an upload that an application keeps. */
export interface KnownUpload {
    readonly uploadId: string;
    readonly dimensions: Dimensions;
    /** Without it, the element shows nothing until the image has loaded, and the server chooses the format for older browsers. */
    readonly placeholder?: Placeholder | null | undefined;
    /** `public` by default. */
    readonly visibility?: Visibility | undefined;
    /** That of the upload's JSON. If it is not known, it counts as true: picture elements then offer no AVIF of animated sizes. */
    readonly animated?: boolean | undefined;
}

/**
 * Returns the data of an upload that picture elements need, from the JSON of `GET /sizes` and what your application keeps. Throws TypeError
 * for malformed arguments.
 */
export function describeUpload(configured: ConfiguredSizes, known: KnownUpload): Upload {
    const { uploadId, dimensions, placeholder = null, visibility = "public", animated = true } = known;
    checkUploadId(uploadId);
    if (!isSide(dimensions?.width) || !isSide(dimensions.height)) {
        throw new TypeError(`dimensions are whole numbers of pixels up to ${MAX_SIDE}, not ${JSON.stringify(dimensions)}`);
    }
    if (visibility !== "public" && visibility !== "private") {
        throw new TypeError(`visibility is public or private, not ${JSON.stringify(visibility)}`);
    }
    const folder = `${configured.base}/${visibility === "private" ? "private" : "images"}/${uploadId}`;
    const sizes: Record<string, DisplayedSize> = {};
    const urls: Record<string, Record<string, string>> = {};
    const looks = new Set<number>();
    for (const [name, size] of Object.entries(configured.sizes)) {
        const box = displayed(size, dimensions, animated);
        sizes[name] = box;
        const isWhole = box.width === dimensions.width && box.height === dimensions.height;
        if (isWhole && looks.has(size.look)) {
            continue; // it only repeats the original, as an earlier size of the same look does
        }
        if (isWhole) {
            looks.add(size.look);
        }
        const formats = placeholder === null ? [...size.formats, "auto"] : size.formats;
        urls[name] = Object.fromEntries(formats.map((format) => [format, `${folder}/${name}.${format}`]));
    }
    return { sizes, urls, placeholder: placeholder ?? UNKNOWN };
}

function isSide(side: unknown): boolean {
    return Number.isInteger(side) && (side as number) >= 1 && (side as number) <= MAX_SIDE;
}

/** The dimensions of the variant, as the server computes them. */
function displayed(size: ConfiguredSize, original: Dimensions, animated: boolean): DisplayedSize {
    let { width, height } = size;
    let isWhole = true;
    if (size.fit === "inside") {
        const scale = Math.min(1, width ? width / original.width : 1, height ? height / original.height : 1);
        width = Math.max(1, roundHalfToEven(original.width * scale));
        height = Math.max(1, roundHalfToEven(original.height * scale));
    } else if (width === null || height === null) {
        throw new TypeError("only sizes that fit inside have an open side");
    } else if (size.fit === "cover") {
        const scale = Math.max(width / original.width, height / original.height);
        const cropWidth = Math.max(1, roundHalfToEven(Math.min(width / scale, original.width)));
        const cropHeight = Math.max(1, roundHalfToEven(Math.min(height / scale, original.height)));
        isWhole = cropWidth === original.width && cropHeight === original.height;
        if (size.mayBeSmaller && scale > 1) {
            [width, height] = [cropWidth, cropHeight];
        }
    }
    const effects = size.effects.filter(
        (effect) => !(isWhole && effect.startsWith("position ")) && (animated || effect !== "animated"),
    );
    return effects.length > 0 ? { width, height, effects } : { width, height };
}

/** Rounds halves to the even number, as the server does. */
function roundHalfToEven(value: number): number {
    const floor = Math.floor(value);
    return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}
