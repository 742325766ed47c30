"""Types of the API's JSON. `serializers.py` builds it; `openapi/` generates its description from these types."""

from typing import Annotated

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from ingest.records import JobStatus, VariantState
from proxy.imaging.limits import SOURCE_FORMATS
from proxy.imaging.privacy import Private
from proxy.model import UPLOAD_ID, UploadId

_described = with_config(ConfigDict(use_attribute_docstrings=True))

_Id = Annotated[UploadId, Field(pattern=f"^{UPLOAD_ID}$", examples=["8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"])]
_SourceFormat = Annotated[str, Field(json_schema_extra={"enum": [name.lower() for name in SOURCE_FORMATS]})]
_Private = Annotated[str, Field(json_schema_extra={"enum": [kind.value for kind in Private]})]
_Time = Annotated[str, Field(description="In UTC.", json_schema_extra={"format": "date-time"})]
_Path = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]


class Dimensions(TypedDict):
    """Upright, in pixels."""

    width: Annotated[int, Field(ge=1)]
    height: Annotated[int, Field(ge=1)]


@_described
class Placeholder(TypedDict):
    """What a page may show until the picture has loaded."""

    thumbhash: str
    """Base64."""
    color: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
    """The picture's mean colour."""
    dataUrl: str | None
    """The ThumbHash as a `data:` URL of a PNG of a few pixels. Null for transparent pictures: it would show through."""


@_described
class Privacy(TypedDict):
    """Kinds of private metadata in the original, never their content."""

    removed: list[_Private]
    """Not in any variant."""
    kept: list[_Private]
    """In variants too, with `STRIP_METADATA=false`."""


@_described
class Accepted(TypedDict):
    """An accepted upload."""

    uploadId: _Id
    originalSize: Annotated[int, Field(ge=1)]
    """Bytes."""
    dimensions: Dimensions
    format: _SourceFormat
    """By content, not by file name."""
    status: JobStatus
    """Of the warm-up. The URLs work in every status."""
    statusUrl: _Path
    sizes: dict[str, Dimensions]
    """The displayed dimensions of this picture in each size."""
    urls: dict[str, dict[str, str]]
    """By size, then by format. They work at once."""
    placeholder: Placeholder
    privacy: Privacy | None
    """Null for uploads that predate this field."""


@_described
class Upload(Accepted):
    """An upload with its warm-up status."""

    createdAt: _Time
    picture: str
    """A ready `<picture>` element."""


@_described
class UploadPage(TypedDict):
    """Uploads, newest first."""

    images: list[Upload]
    cursor: str | None
    """For the next page; null on the last."""


@_described
class VariantStatus(TypedDict):
    """One standard variant. Unknown values are null."""

    state: VariantState
    bytes: int | None
    milliseconds: float | None
    """Duration of its derivation."""
    quality: int | None
    """Result of the quality search; null if the quality is fixed."""
    score: float | None
    """Score of that quality, on SSIMULACRA2's scale."""


@_described
class Status(TypedDict):
    """The warm-up of an upload."""

    uploadId: _Id
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    """Percent."""
    error: str | None
    """Why it failed, as readable text."""
    createdAt: _Time
    updatedAt: _Time
    variants: dict[str, VariantStatus]
    """The standard variants by name, such as `medium.webp`."""
