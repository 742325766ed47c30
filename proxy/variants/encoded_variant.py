"""A variant's bytes, with the headers and metadata that responses and the store need."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio.to_thread

from proxy.imaging.target import Measured
from proxy.model import Focus, Format, Position, UploadId, Variant, parse_focus
from proxy.recipe import Recipes
from proxy.storage.object_store import ObjectInfo, StoredObject

FOCUS = "focus"
"""Metadata key of the upload's focus: of its original, and of variants that are cropped around it."""

CACHE_CONTROL = "public, max-age=31536000, immutable"
"""One year. An upload never changes under its URL; a CDN purges by tag."""

MAX_PRIVATE_AGE = 86_400
"""The most seconds for which a browser keeps a private variant. Of shared caches, only an edge that verifies requests
keeps one."""

UPLOAD_TAG = "upload-"
"""Begins the tag that all variants of an upload carry."""

_LARGE = 256 * 1024  # bytes, of which the MD5 takes 0.4 ms; a thread costs 0.1


@dataclass(frozen=True, slots=True)
class EncodedVariant:
    """An encoded variant.

    `etag` is the quoted MD5 of the bytes, as S3 computes it, so a CDN can revalidate with the bucket or the proxy.

    `measured` is None if the quality was fixed instead of searched for. `focus`: what it was cropped around; None also
    for a variant whose size does not use the upload's focus.
    """

    body: bytes
    format: Format
    etag: str
    last_modified: datetime
    recipe: str
    cache_tag: str
    measured: Measured | None = None
    focus: Focus | None = None

    @classmethod
    def from_rendering(
        cls,
        upload_id: UploadId,
        variant: Variant,
        body: bytes,
        recipe: str,
        measured: Measured | None = None,
        *,
        focus: Focus | None = None,
    ) -> "EncodedVariant":
        """Returns a variant that was just rendered. Its `body` is hashed: see `without_blocking`."""
        now, tag = datetime.now(UTC).replace(microsecond=0), _cache_tag(upload_id, variant, recipe)
        return cls(body, variant.format, _etag(body), now, recipe, tag, measured, focus)

    @classmethod
    def from_store(cls, upload_id: UploadId, variant: Variant, stored: StoredObject) -> "EncodedVariant":
        """Returns a stored variant. Its body is hashed: see `without_blocking`."""
        recipe = stored.info.metadata.get("recipe", "")
        modified = stored.info.last_modified.replace(microsecond=0)
        tag = _cache_tag(upload_id, variant, recipe)
        measured = parse_measured(stored.info.metadata)
        focus = parse_focus(stored.info.metadata.get(FOCUS, ""))
        return cls(stored.body, variant.format, _etag(stored.body), modified, recipe, tag, measured, focus)

    @property
    def md5(self) -> str:
        """The MD5 of the body, in hexadecimal."""
        return self.etag.strip('"')

    @property
    def metadata(self) -> dict[str, str]:
        """User metadata of the stored object."""
        metadata = {"recipe": self.recipe, "cache-tag": self.cache_tag, "md5": self.md5}
        if self.measured:
            metadata |= {"quality": f"{self.measured.quality}", "score": f"{self.measured.score}"}
        if self.focus:
            metadata[FOCUS] = self.focus
        return metadata


def is_current(info: ObjectInfo, variant: Variant, recipes: Recipes, focus: Focus | None) -> bool:
    """Whether a stored variant has the current recipe and, if its size uses it, the `focus` of its upload."""
    if info.metadata.get("recipe") != recipes.fingerprint(variant):
        return False
    return variant.size.position is not Position.FOCUS or info.metadata.get(FOCUS) == focus


def parse_measured(metadata: Mapping[str, str]) -> Measured | None:
    """Returns the quality and score in a stored variant's metadata; None if they are missing or malformed."""
    try:
        return Measured(int(metadata["quality"]), float(metadata["score"]))
    except (KeyError, ValueError):
        return None


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


async def without_blocking(make: Callable[[], EncodedVariant], size: int) -> EncodedVariant:
    """Runs one of the constructors; in a thread if the MD5 of `size` bytes would block the event loop for long."""
    return await anyio.to_thread.run_sync(make) if size > _LARGE else make()


def upload_tag(upload_id: UploadId) -> str:
    return f"{UPLOAD_TAG}{upload_id}"


def recipe_tag(recipe: str) -> str:
    return f"recipe-{recipe}"


def _cache_tag(upload_id: UploadId, variant: Variant, recipe: str) -> str:
    return f"{upload_tag(upload_id)},size-{variant.size_name},{recipe_tag(recipe)}"
