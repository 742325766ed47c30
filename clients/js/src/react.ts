/** `<Picture>` for React, in the browser and on the server. */

import { createElement, type ImgHTMLAttributes, type ReactElement } from "react";

import type { Upload } from "./documents.js";
import { pictureParts, type PartsOptions } from "./picture.js";

type OwnAttributes = "alt" | "height" | "loading" | "placeholder" | "sizes" | "src" | "srcSet" | "width";

/** All other attributes go to the `<img>`, such as `className` and `onLoad`. */
export interface PictureProps extends PartsOptions, Omit<ImgHTMLAttributes<HTMLImageElement>, OwnAttributes> {
    /** The JSON of `POST /images/upload` or `GET /images/{uploadId}`, or what `describeUpload` returns. */
    readonly upload: Upload;
    /** The alternative text; empty only for decoration. */
    readonly alt: string;
    /** HTML's attribute: how wide the page shows the image. `100vw` by default. */
    readonly sizes?: string;
    /** `lazy` by default; use `eager` for images at the top of the page. */
    readonly loading?: "lazy" | "eager";
}

/** A `<picture>` element with AVIF, WebP and JPEG or PNG in every size, and a placeholder until the image has loaded. */
export function Picture(props: PictureProps): ReactElement {
    const { upload, size, placeholder, token, sizes = "100vw", loading = "lazy", style, ...others } = props;
    const parts = pictureParts(upload, { size, placeholder, token });
    const sources = parts.sources.map(({ type, srcset }) => createElement("source", { key: type, type, srcSet: srcset, sizes }));
    const image = createElement("img", {
        decoding: "async",
        ...others,
        loading, // before `src`, because Safari reads it too late otherwise
        sizes,
        srcSet: parts.srcset,
        src: parts.src,
        width: parts.width,
        height: parts.height,
        style: parts.background === null ? style : { background: parts.background, ...style },
    });
    return createElement("picture", null, ...sources, image);
}
