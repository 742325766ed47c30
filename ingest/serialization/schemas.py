"""Types of the API's JSON. `serializers.py` builds it; `openapi/` generates schemas and descriptions from the types."""

from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from ingest.records import JobStatus, VariantState
from ingest.uploads.field_values import MAX_NAME
from proxy.imaging.privacy import Private
from proxy.model import FOCUS_PATTERN, UPLOAD_ID, Fit, Focus, Format, SourceFormat, UploadId, Visibility

_described = with_config(ConfigDict(use_attribute_docstrings=True))

_Id = Annotated[UploadId, Field(pattern=f"^{UPLOAD_ID}$", examples=["8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"])]
_SourceFormat = Annotated[str, Field(json_schema_extra={"enum": [format.value for format in SourceFormat]})]
_Private = Annotated[str, Field(json_schema_extra={"enum": [kind.value for kind in Private]})]
_Time = Annotated[str, Field(description="Time in UTC.", json_schema_extra={"format": "date-time"})]
_Focus = Annotated[Focus, Field(pattern=f"^{FOCUS_PATTERN}$", examples=["0.3,0.7"])]
_Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME)]
_Side = Annotated[int, Field(ge=1)]
_Path = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]


class Dimensions(TypedDict):
    """Width and height in pixels, upright."""

    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]


@_described
class DisplayedSize(Dimensions):
    """The dimensions of an image in a size, in pixels."""

    effects: NotRequired[list[str]]
    """Effects that change the content, such as `grayscale`, `blur 8`, `pad #ffffff` or `animated`. `watermark` is
    followed by the first digits of its file's SHA-256, position, width and opacity. Absent without effects."""


@_described
class Placeholder(TypedDict):
    """A preview to show while the image loads."""

    thumbhash: str
    """The ThumbHash in base64."""
    color: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
    """The mean colour of the image."""
    dataUrl: str | None
    """The ThumbHash as a `data:` URL of a small PNG. Null for transparent images, where it would show through."""


@_described
class Privacy(TypedDict):
    """Kinds of private metadata in the original. Their values are never returned."""

    removed: list[_Private]
    """Removed from all variants."""
    kept: list[_Private]
    """Kept in the variants, because `STRIP_METADATA` is `false`."""


@_described
class Accepted(TypedDict):
    """An accepted upload."""

    uploadId: _Id
    originalSize: Annotated[int, Field(ge=1)]
    """The size of the original in bytes."""
    dimensions: Dimensions
    format: _SourceFormat
    """The format of the original, detected from its content."""
    animated: bool
    """Whether it is an animation that sizes with `animated` show whole, as WebP."""
    status: JobStatus
    """The status of the warm-up. The URLs work in every status."""
    statusUrl: _Path
    sizes: dict[str, DisplayedSize]
    """The displayed dimensions of the image in each configured size."""
    urls: dict[str, dict[str, str]]
    """URLs of the variants by size, then by format. They work immediately. Of the sizes that only repeat the original's
    pixels, because they never enlarge it, only the first is listed."""
    placeholder: Placeholder
    privacy: Privacy | None
    """Null for uploads that are older than this field."""
    focus: _Focus | None
    """The point that sizes with `position = "focus"` are cropped around, as fractions of the upright width and height.
    Null: the centre."""
    owner: _Name | None
    """The owner, as the application calls it. Null if the application gave none, like the next two."""
    externalId: _Name | None
    """The application's own id of the image. Several uploads may have the same."""
    metadata: dict[str, Any] | None
    """Other data that the application keeps with the upload."""
    visibility: Visibility
    """The access to the variants. The URLs of a private upload need `?token=`, with a token that your application
    signs."""


@_described
class Created(Accepted):
    """The response to an upload."""

    receipt: NotRequired[str]
    """Proves to the application what was uploaded: a JSON Web Token of `uploadId`, `owner` and `sha256`, signed by the
    first of `UPLOAD_KEYS`. Absent without these keys."""


@_described
class Deletion(TypedDict):
    """The deletion of all uploads of an owner."""

    deletionId: _Id
    status: JobStatus
    statusUrl: _Path
    progress: Annotated[int, Field(ge=0, le=100)]
    """The progress in percent."""
    total: Annotated[int, Field(ge=0)]
    """The owner's uploads when the call was accepted. Later ones are not deleted."""
    deleted: Annotated[int, Field(ge=0)]
    failed: Annotated[int, Field(ge=0)]
    """Uploads that could not be deleted. The log says why."""
    error: str | None
    """Why the deletion failed, as text for people. The call can be sent again."""
    createdAt: _Time
    updatedAt: _Time


@_described
class Ticket(TypedDict):
    """An upload ticket."""

    ticket: str
    """For `Authorization: Bearer TICKET` of one upload."""
    expiresAt: _Time


@_described
class Tokens(TypedDict):
    """Tokens for the private variants of uploads."""

    tokens: dict[str, str]
    """By upload id: for `?token=TOKEN` of every variant of the upload."""
    expiresAt: _Time


@_described
class Upload(Accepted):
    """An upload with its creation time and its `<picture>` element."""

    createdAt: _Time
    picture: str | None
    """A complete `<picture>` element. Null for a private upload: your application makes it, with a token."""


@_described
class UploadPage(TypedDict):
    """A page of uploads, newest first."""

    images: list[Upload]
    cursor: str | None
    """The `cursor` parameter for the next page. Null on the last page."""


@_described
class VariantStatus(TypedDict):
    """The status of a standard variant. Unknown values are null."""

    state: VariantState
    bytes: int | None
    milliseconds: float | None
    """The time that the derivation took."""
    quality: int | None
    """The quality that the quality search chose. Null if the quality is fixed."""
    score: float | None
    """The SSIMULACRA2 score at that quality."""


@_described
class Status(TypedDict):
    """The status of an upload's warm-up."""

    uploadId: _Id
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    """The progress in percent."""
    error: str | None
    """Why the warm-up failed, as text for people."""
    createdAt: _Time
    updatedAt: _Time
    variants: dict[str, VariantStatus]
    """The standard variants, and others that a warm-up has stored, by file name, such as `medium.webp`."""


@_described
class ConfiguredSize(TypedDict):
    """A size, in CSS pixels."""

    width: _Side | None
    """Null: follows from the height."""
    height: _Side | None
    """Null: follows from the width."""
    fit: Annotated[str, Field(json_schema_extra={"enum": [fit.value for fit in Fit]})]
    mayBeSmaller: bool
    """Whether small originals give a smaller image, because the size never enlarges them."""
    effects: list[str]
    """Effects that change the content. A `position` counts as one only if the size crops the original."""
    look: Annotated[int, Field(ge=0)]
    """Of the sizes with the same number that show the whole original unscaled, only the first is offered."""
    densities: list[int]
    """Factors of the pixels: `@2x`, `@3x`."""
    formats: list[Annotated[str, Field(json_schema_extra={"enum": [format.value for format in Format]})]]


@_described
class ConfiguredSizes(TypedDict):
    """Everything a client needs to build an upload's URLs and `srcset` from its id and dimensions."""

    base: str
    """Begins the URLs of variants: `CDN_URL`, `PUBLIC_URL` or empty."""
    sizes: dict[str, ConfiguredSize]
    """The sizes by name, in the order of the configuration."""
