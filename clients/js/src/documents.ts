/** Types of the API's JSON, as far as this package reads it. */

export type Format = "auto" | "jpg" | "png" | "webp" | "avif";
export type Density = 1 | 2 | 3;
export type Visibility = "public" | "private";

/** Width and height in pixels. */
export interface Dimensions {
    readonly width: number;
    readonly height: number;
}

/** `effects`: those that change the content, such as `grayscale`; absent without any. */
export interface DisplayedSize extends Dimensions {
    readonly effects?: readonly string[];
}

/** A ThumbHash in base64, a colour as `#rrggbb`, and a preview: a `data:` URL, or null for transparent images. */
export interface Placeholder {
    readonly thumbhash: string;
    readonly color: string;
    readonly dataUrl: string | null;
}

/**
 * What a picture element needs of an upload. `sizes`: the dimensions of its variant of each size. `urls`: by size, then by format.
 * Of the sizes that only have the original's own pixels, `urls` has the first.
 */
export interface Upload {
    readonly sizes: Readonly<Record<string, DisplayedSize>>;
    readonly urls: Readonly<Record<string, Readonly<Record<string, string>>>>;
    readonly placeholder: Placeholder;
}

/** The JSON of `POST /images/upload`. `receipt`: only of an upload with a ticket. */
export interface AcceptedUpload extends Upload {
    readonly uploadId: string;
    readonly originalSize: number;
    readonly dimensions: Dimensions;
    readonly format: string;
    readonly status: string;
    readonly statusUrl: string;
    readonly receipt?: string;
}

/** A size of `GET /sizes`, in CSS pixels. An open side is null. */
export interface ConfiguredSize {
    readonly width: number | null;
    readonly height: number | null;
    readonly fit: string;
    readonly mayBeSmaller: boolean;
    readonly effects: readonly string[];
    readonly look: number;
    readonly densities: readonly number[];
    readonly formats: readonly string[];
}

/** The JSON of `GET /sizes`. `base` begins the URLs of variants. */
export interface ConfiguredSizes {
    readonly base: string;
    readonly sizes: Readonly<Record<string, ConfiguredSize>>;
}
