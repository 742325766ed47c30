"""The JSON that callers see, as types. `documents.py` builds it; `openapi/` describes it from here."""

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
    """What a page may show until the picture is there."""

    thumbhash: str
    """Base64."""
    color: Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
    """The picture's mean."""


@_described
class Privacy(TypedDict):
    """Kinds of private metadata that the original carries; never what they say."""

    removed: list[_Private]
    """Not in any variant."""
    kept: list[_Private]
    """In variants too, with `STRIP_METADATA=false`."""


@_described
class Accepted(TypedDict):
    """An upload that was taken."""

    uploadId: _Id
    originalSize: Annotated[int, Field(ge=1)]
    """Bytes."""
    dimensions: Dimensions
    format: _SourceFormat
    """By content, whatever its name said."""
    status: JobStatus
    """Of the warm-up. The URLs work whatever it is."""
    statusUrl: _Path
    sizes: dict[str, Dimensions]
    """How large each size shows this picture."""
    urls: dict[str, dict[str, str]]
    """By size, then by format. They work at once."""
    placeholder: Placeholder
    privacy: Privacy | None
    """Null for uploads from before this was looked for."""


@_described
class Upload(Accepted):
    """What is known of an upload."""

    createdAt: _Time
    picture: str
    """A ready `<picture>` element."""


@_described
class UploadPage(TypedDict):
    """Uploads, the newest first."""

    images: list[Upload]
    cursor: str | None
    """For the next page; null on the last."""


@_described
class VariantStatus(TypedDict):
    """What is known of one standard variant; null where it is not."""

    state: VariantState
    bytes: int | None
    milliseconds: float | None
    """That its derivation took."""
    quality: int | None
    """That a search for the quality came to; null where it was given."""
    score: float | None
    """That this quality reaches, on SSIMULACRA2's scale."""


@_described
class Status(TypedDict):
    """The warm-up of an upload."""

    uploadId: _Id
    status: JobStatus
    progress: Annotated[int, Field(ge=0, le=100)]
    """Percent."""
    error: str | None
    """Why it failed, for people."""
    createdAt: _Time
    updatedAt: _Time
    variants: dict[str, VariantStatus]
    """The standard ones, by name: `medium.webp`."""
