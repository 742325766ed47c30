/** URLs, `<picture>` elements and uploads, for pages and servers. */

export { describeUpload } from "./describe-upload.js";
export type { KnownUpload } from "./describe-upload.js";
export type * from "./documents.js";
export { pictureHtml, pictureParts } from "./picture.js";
export type { PartsOptions, PictureOptions, PictureParts } from "./picture.js";
export { upload, UploadError } from "./upload.js";
export type { UploadFields, UploadOptions } from "./upload.js";
export { variantUrl } from "./urls.js";
export type { VariantOptions } from "./urls.js";
