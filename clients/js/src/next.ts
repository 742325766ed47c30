/** A loader for `next/image`: the browser gets variants, and Next.js encodes nothing. */

import type { ConfiguredSize, ConfiguredSizes, Density } from "./documents.js";
import { variantUrl } from "./urls.js";

interface Candidate {
    readonly name: string;
    readonly density: Density;
    readonly pixels: number;
}

/**
 * Returns the function that `loaderFile` exports by default. `src` of an image is an upload's id; of a private one, the id,
 * `?token=` and a token.
 *
 * `configured`: the JSON of `GET /sizes`. `size`: a configured size; images are loaded in the sizes with its aspect ratio, its
 * effects and at least its formats. By default those that only have a width, which show the whole image; else the widest. For each width that the page asks
 * for, it takes the next larger one, at any density. Throws TypeError for an unknown size or one without a width.
 */
export function createLoader(configured: ConfiguredSizes, { size }: { size?: string } = {}): (image: { src: string; width: number }) => string {
    const candidates = candidatesOf(configured, size);
    return ({ src, width }) => {
        const [uploadId = "", token] = src.split("?token=", 2);
        const fitting = candidates.find(({ pixels }) => pixels >= width) ?? (candidates.at(-1) as Candidate);
        return variantUrl(uploadId, fitting.name, { density: fitting.density, base: configured.base, token });
    };
}

function candidatesOf({ sizes }: ConfiguredSizes, size: string | undefined): Candidate[] {
    if (size !== undefined && !Object.hasOwn(sizes, size)) {
        throw new TypeError(`the sizes are ${Object.keys(sizes).join(", ")}, not ${JSON.stringify(size)}`);
    }
    const withWidth = Object.entries(sizes).filter(([, { width }]) => width !== null);
    const plain = withWidth.filter(([, { effects }]) => effects.length === 0);
    const widths = plain.filter(([, { height }]) => height === null);
    const like = size !== undefined ? sizes[size] : widest(widths) ?? widest(plain) ?? widest(withWidth);
    if (like === undefined || like.width === null) {
        throw new TypeError("choose a size that has a width");
    }
    return withWidth
        .filter(([, each]) => shape(each) === shape(like) && like.formats.every((format) => each.formats.includes(format)))
        .flatMap(([name, each]) =>
            each.densities.map((density) => ({ name, density: density as Density, pixels: (each.width as number) * density })),
        )
        .sort((one, other) => one.pixels - other.pixels || one.density - other.density);
}

function widest(sizes: readonly (readonly [string, ConfiguredSize])[]): ConfiguredSize | undefined {
    return sizes.map(([, size]) => size).sort((one, other) => (other.width as number) - (one.width as number))[0];
}

/** Equal for sizes that show the same part of an image, with the same effects. */
function shape({ width, height, fit, effects }: ConfiguredSize): string {
    return JSON.stringify([height === null ? null : ((width as number) / height).toFixed(2), fit, effects]);
}
