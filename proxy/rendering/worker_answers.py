"""Parses, in the server, the messages of a render worker.

A hostile image may have taken over the worker, so nothing that it says is believed: every message has exactly its
fields, each of its type and within its bounds.

All functions raise RenderFailed for anything else.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from proxy import errors
from proxy.errors import RenderFailed, ServiceError
from proxy.imaging.animation.animation_limits import MAX_ENCODED
from proxy.imaging.containers import SNIFFED, sniff
from proxy.imaging.inspect import Inspection
from proxy.imaging.limits import Limits
from proxy.imaging.privacy import Private
from proxy.imaging.target import Measured, Target
from proxy.imaging.thumbhash import THUMBHASH
from proxy.model import Format, SourceFormat
from proxy.rendering.memory_limits import IDLE_ALLOWANCE

MAX_LINE = 8 * 1024
"""Bytes of a message. The longest that a worker sends, an inspection, has about 300."""

_BYTES_PER_PIXEL = 8
"""More than any encoder writes: noise in an RGBA PNG takes 4, in a JPEG of quality 100 about 2."""

_BYTES_PER_FILE = 1 << 16  # headers, and a file of one pixel

_TYPES = (errors.UnsupportedFormat, errors.Undecodable, errors.TooSmall, errors.TooManyPixels, errors.TooHeavy)
_REFUSALS = {kind.code: kind for kind in _TYPES}

_Side = Annotated[int, Field(ge=1)]
_Index = Annotated[int, Field(ge=0)]
_Seconds = Annotated[float, Field(ge=0, le=86_400)]  # a sum of metrics would never recover from the largest float
_Stage = Annotated[str, StringConstraints(pattern="^(decode|resize|encode)$")]


class _Answer(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class Ready(_Answer):
    """The worker waits for its first request. `locks`: what it has locked itself with.

    `damaged`: the digest of a watermark that cannot be decoded.
    """

    ready: Literal[True]
    locks: Annotated[list[Literal["seccomp", "landlock"]], Field(max_length=2)]
    damaged: Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")] | None = None


class Done(_Answer):
    """The answer to a request is complete."""

    done: Literal[True]


class Next(_Answer):
    """Asks whether to render the target at this index of the request, if the request `asks`."""

    next: _Index


class _Measured(_Answer):
    quality: Annotated[int, Field(ge=1, le=100)]
    score: Annotated[float, Field(ge=-10_000, le=10_000)]


class FileHead(_Answer):
    """A rendered file follows, of `length` bytes. `timings`: seconds by stage."""

    index: _Index
    length: Annotated[int, Field(gt=0)]
    timings: dict[_Stage, _Seconds]
    measured: _Measured | None = None

    def measurement(self) -> Measured | None:
        """Returns what the quality search measured; None if the quality is fixed."""
        return Measured(self.measured.quality, self.measured.score) if self.measured else None


class Refusal(_Answer):
    """The original is refused. `detail` reaches the client."""

    refused: Literal["unsupported_format", "undecodable", "too_small", "too_many_pixels", "too_heavy"]
    detail: Annotated[str, StringConstraints(min_length=1, max_length=300)]


class Inspected(_Answer):
    """An inspection; the fields are those of `Inspection`."""

    format: SourceFormat
    width: _Side
    height: _Side
    thumbhash: Annotated[str, StringConstraints(pattern=THUMBHASH)]
    color: Annotated[str, StringConstraints(pattern=r"^#[0-9a-f]{6}$")]
    alpha: bool
    animated: bool
    private: Annotated[list[Private], Field(max_length=len(Private))]
    private_exif: Annotated[list[Private], Field(max_length=len(Private))]


READY = TypeAdapter(Ready)
DONE = TypeAdapter(Done)
TO_INSPECTION: TypeAdapter[Inspected | Refusal] = TypeAdapter(Inspected | Refusal)
TO_RENDERING: TypeAdapter[FileHead | Next | Done | Refusal] = TypeAdapter(FileHead | Next | Done | Refusal)

_Parsed = TypeVar("_Parsed")


def parse(line: bytes, expected: TypeAdapter[_Parsed]) -> _Parsed:
    """Parses `line` as one of the messages that `expected` allows."""
    try:
        return expected.validate_json(line)
    except ValidationError as error:
        raise invalid("a message of the wrong form") from error


def to_inspection(said: Inspected, limits: Limits, head: bytes) -> Inspection:
    """Returns the inspection that a worker reports, after checks that its types cannot express.

    `head`: the original's first bytes. They decide its format, because `ACCEPT` was checked for that one.
    """
    if said.format is not sniff(head):
        raise invalid("another format than the original's")
    if not all(limits.min_side <= side <= limits.max_side for side in (said.width, said.height)):
        raise invalid("sides beyond the limits")
    for kinds in (said.private, said.private_exif):
        if len(set(kinds)) < len(kinds):
            raise invalid("a kind of metadata twice")
    fields: dict[str, Any] = said.model_dump(mode="json") | {"format": said.format}
    return Inspection(**fields)


def to_error(said: Refusal) -> ServiceError:
    """Returns the error that a refusal names."""
    if not said.detail.isprintable():
        raise invalid("a text with control characters")
    return _REFUSALS[said.refused](said.detail)


def check_head(said: FileHead, target: Target, limits: Limits, *, original: int, memory: int) -> None:
    """Checks a file's announcement against what was asked for. `original`: its bytes. `memory`: of the request."""
    if said.length > max_length(target, limits, original, memory):
        raise invalid("a file longer than its pixels")
    if said.measured and target.score is None:
        raise invalid("a quality that was not searched for")


def max_length(target: Target, limits: Limits, original: int, memory: int) -> int:
    """Returns the most bytes that a file for `target` may have.

    They are bounded by its pixels, and by the memory of the worker, which holds the whole file. An open side is at most
    that of the largest original. EXIF that is kept is at most as long as the original. The frames of an animation have
    at most `MAX_ENCODED` pixels together.
    """
    pixels = (target.width or limits.max_side) * (target.height or limits.max_side)
    if target.animated:
        pixels = max(pixels, MAX_ENCODED)
    by_pixels = _BYTES_PER_PIXEL * pixels + _BYTES_PER_FILE + (original if target.keep_exif else 0)
    return min(by_pixels, memory + IDLE_ALLOWANCE)


def check_body(body: bytes, format: Format) -> None:
    """Checks that `body` begins as a file of `format` does."""
    begins = sniff(body[:SNIFFED])
    if begins is None or begins.media_type != format.media_type:
        raise invalid(f"a file that is no {format}")


def invalid(what: str) -> RenderFailed:
    """Returns the error for a message that breaks the protocol.

    `what`: describes the message, without quoting it, because the text reaches clients.
    """
    return RenderFailed(f"The render worker sent {what}, and was stopped. Try again.")
