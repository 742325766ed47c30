/** Types of the API's JSON, as far as this package reads it. */

export type Format = "auto" | "jpg" | "png" | "webp" | "avif";
export type Density = 1 | 2 | 3;
export type Visibility = "public" | "private";
export type SourceFormat = "jpeg" | "png" | "webp" | "avif" | "gif" | "tiff" | "heic";
export type JobStatus = "pending" | "processing" | "complete" | "failed";

/** Width and height in pixels. */
export interface Dimensions {
    readonly width: number;
    readonly height: number;
}

/**
 * `effects`: those that change the content, such as `grayscale`; absent without any. `animated`: WebP shows the animation, other
 * formats its first frame.
 */
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
 * The data of an upload that a picture element needs. `sizes`: the dimensions of its variant of each size. `urls`: by size, then by format.
 * Of the sizes that only have the original's own pixels, `urls` has the first.
 */
export interface Upload {
    readonly sizes: Readonly<Record<string, DisplayedSize>>;
    readonly urls: Readonly<Record<string, Readonly<Record<string, string>>>>;
    readonly placeholder: Placeholder;
}

/** Kinds of private metadata in the original, such as `location`: those that no variant has, and those that variants keep. */
export interface Privacy {
    readonly removed: readonly string[];
    readonly kept: readonly string[];
}

/** The JSON of `POST /images/upload`. Fields without a value are null. */
export interface AcceptedUpload extends Upload {
    readonly uploadId: string;
    /** The bytes of the original. */
    readonly originalSize: number;
    readonly dimensions: Dimensions;
    /** The format of the original. */
    readonly format: SourceFormat;
    /** Whether it is an animation that sizes with `animated` show whole, as WebP. */
    readonly animated: boolean;
    /** The status of the warm-up. The URLs work in every status. */
    readonly status: JobStatus;
    readonly statusUrl: string;
    /** Null for uploads that are older than this field. */
    readonly privacy: Privacy | null;
    /** `x,y`: shares of the sides of the upright image. Null: the centre. */
    readonly focus: string | null;
    readonly owner: string | null;
    readonly externalId: string | null;
    readonly metadata: Readonly<Record<string, unknown>> | null;
    /** The URLs of a private upload need a token: `signToken`. */
    readonly visibility: Visibility;
    /** For `verifyReceipt`. Absent if the server has no UPLOAD_KEYS. */
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
