"""Originals in the object store: what their metadata says, and a copy of one for a render worker."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from uuid import uuid4

import anyio
import anyio.to_thread
from cachetools import LRUCache

from proxy.errors import OriginalDamaged, StoreUnavailable, Unavailable, Undecodable, UnknownUpload
from proxy.imaging.animation.animation_limits import count_frames
from proxy.imaging.header import read_header
from proxy.imaging.inspect import Inspection
from proxy.imaging.thumbhash import THUMBHASH
from proxy.keys import original_key
from proxy.model import Focus, Position, SourceFormat, UploadId, Variant, Visibility, parse_focus
from proxy.storage.object_store import DAMAGED, ObjectInfo, ObjectNotFound, ObjectStore
from proxy.variants.encoded_variant import FOCUS
from proxy.variants.single_flight import SingleFlight

DIGEST = "sha256"
"""Metadata key of an original's SHA-256, in hexadecimal. Variants of a damaged original would be cached for a year."""
_CREATED = "created"
_VISIBILITY = "visibility"
_ANIMATED = "animated"
_ALPHA, _MAX_KNOWN = "alpha", 10_000  # entries of some hundred bytes each
_COLOR, _THUMBHASH = re.compile(r"#[0-9a-f]{6}", re.ASCII), re.compile(THUMBHASH)
_UNKNOWN = "No image was uploaded under this id, or it was deleted."
_DAMAGED = "The stored original differs from what was uploaded. Restore it, or upload the image again."


def metadata_of(
    inspection: Inspection,
    sha256: str,
    created_at: datetime,
    focus: Focus | None = None,
    visibility: Visibility = Visibility.PUBLIC,
) -> dict[str, str]:
    """Returns the user metadata of an original: what the inspection found, so that it need not be inspected again.

    `.auto` reads `alpha` and `animated`. The rest is what the database's row of the upload has, so that rows can be
    rebuilt.
    """
    metadata = {
        DIGEST: sha256,
        _CREATED: created_at.isoformat(),
        "width": f"{inspection.width}",
        "height": f"{inspection.height}",
        _ALPHA: f"{inspection.alpha:d}",
        _ANIMATED: f"{inspection.animated:d}",
        "thumbhash": inspection.thumbhash,
        "color": inspection.color,
        "private": ",".join(inspection.private),
        "private-exif": ",".join(inspection.private_exif),
        FOCUS: focus or "",
        _VISIBILITY: "" if visibility is Visibility.PUBLIC else visibility,
    }
    return {name: value for name, value in metadata.items() if value}


def inspection_of(original: ObjectInfo) -> Inspection | None:
    """The inverse of `metadata_of`. Returns None for an original of an earlier version, or with unreadable metadata."""
    metadata = original.metadata
    try:
        inspection = Inspection(
            format=SourceFormat(original.content_type.removeprefix("image/")),
            width=int(metadata["width"]),
            height=int(metadata["height"]),
            thumbhash=metadata["thumbhash"],
            color=metadata["color"],
            alpha=metadata[_ALPHA] == "1",
            animated=metadata[_ANIMATED] == "1",
            private=[each for each in metadata.get("private", "").split(",") if each],
            private_exif=[each for each in metadata.get("private-exif", "").split(",") if each],
        )
    except (KeyError, ValueError):
        return None
    has_sides = inspection.width > 0 and inspection.height > 0
    is_shown = _COLOR.fullmatch(inspection.color) and _THUMBHASH.fullmatch(inspection.thumbhash)
    return inspection if has_sides and is_shown else None


def created_at_of(original: ObjectInfo) -> datetime:
    """Returns when the upload was accepted; for an original of an earlier version, when it was stored."""
    try:
        created_at = datetime.fromisoformat(original.metadata[_CREATED])
    except (KeyError, ValueError):
        return original.last_modified
    return created_at if created_at.tzinfo else original.last_modified


def focus_of(original: ObjectInfo) -> Focus | None:
    """Returns the upload's focus by the metadata of its original; None is the centre."""
    return parse_focus(original.metadata.get(FOCUS, ""))


def visibility_of(original: ObjectInfo) -> Visibility:
    """Returns the upload's visibility by the metadata of its original. An unknown value counts as private."""
    text = original.metadata.get(_VISIBILITY, Visibility.PUBLIC)
    return Visibility.PUBLIC if text == Visibility.PUBLIC else Visibility.PRIVATE


def changed_metadata(
    original: ObjectInfo, focus: Focus | None, visibility: Visibility, created_at: datetime
) -> dict[str, str]:
    """Returns the metadata of an original with another focus or visibility.

    `created_at`: for an original of an earlier version, which lacks it. For such an original, the time when the object
    was stored counts, and replacing the metadata changes that time.
    """
    kept = {name: value for name, value in original.metadata.items() if name not in (FOCUS, _VISIBILITY)}
    changed = {FOCUS: focus, _VISIBILITY: None if visibility is Visibility.PUBLIC else visibility}
    return {_CREATED: created_at.isoformat()} | kept | {name: value for name, value in changed.items() if value}


def is_outdated(original: ObjectInfo, variant: Variant, focus: Focus | None) -> bool:
    """Whether a variant that was cropped around `focus` no longer has its upload's visibility or focus."""
    uses_focus = variant.size.position is Position.FOCUS
    return visibility_of(original) is not variant.visibility or (uses_focus and focus_of(original) != focus)


@dataclass(frozen=True, slots=True)
class Traits:
    """Properties that decide the format of `.auto`. `animated`: whether animated sizes play the original."""

    alpha: bool
    animated: bool


_PLAIN = Traits(alpha=False, animated=False)


class TraitLookup:
    """Finds the traits of originals. Asks the object store once per upload, and remembers 10,000 results."""

    def __init__(self, store: ObjectStore, temporary: Path) -> None:
        self._store = store
        self._temporary = temporary
        self._known: LRUCache[UploadId, Traits] = LRUCache(_MAX_KNOWN)
        self._flights: SingleFlight[UploadId, Traits] = SingleFlight()

    async def find(self, upload_id: UploadId) -> Traits:
        """Returns the traits of an original; none for a missing or damaged one, whose stored JPEG is still served.

        Concurrent calls share one look-up. Raises Unavailable.
        """
        known = self._known.get(upload_id)
        if known is None:
            try:
                known, _ = await self._flights.do(upload_id, lambda: self._read(upload_id))
            except UnknownUpload:
                return _PLAIN
            except Undecodable:
                known = _PLAIN
            self._known[upload_id] = known
        return known

    async def drain(self) -> None:
        """Waits for running look-ups."""
        await self._flights.drain()

    async def _read(self, upload_id: UploadId) -> Traits:
        with _translated():
            original = await self._store.head(original_key(upload_id))
        if _ALPHA in original.metadata:
            return Traits(original.metadata[_ALPHA] == "1", _can_play(original))
        if original.content_type == SourceFormat.JPEG.media_type:
            return _PLAIN
        # Stored by an earlier version. An alpha channel that is opaque everywhere counts as transparency here.
        async with original_file(self._store, upload_id, self._temporary) as (path, _):
            header = await anyio.to_thread.run_sync(read_header, path)
            frames = await anyio.to_thread.run_sync(count_frames, path)
        return Traits(header is None or header.has_alpha, frames > 1)


def _can_play(original: ObjectInfo) -> bool:
    plays = original.content_type in [format.media_type for format in SourceFormat if format.can_play]
    return plays and original.metadata.get(_ANIMATED) == "1"


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal. Blocks: 6 ms for 10 MB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def head_original(store: ObjectStore, upload_id: UploadId) -> ObjectInfo:
    """Returns the store's entry for an original. Raises UnknownUpload or StoreUnavailable."""
    try:
        return await store.head(original_key(upload_id))
    except ObjectNotFound:
        raise UnknownUpload(_UNKNOWN) from None


async def check_original(store: ObjectStore, upload_id: UploadId, visibility: Visibility) -> None:
    """Checks that there is an original to download. Raises UnknownUpload, OriginalDamaged or StoreUnavailable."""
    with _translated():
        require_visibility(await store.head(original_key(upload_id)), visibility)


def require_visibility(original: ObjectInfo, visibility: Visibility) -> None:
    """Raises UnknownUpload if the upload has another visibility: its variants then have other URLs."""
    if visibility_of(original) is not visibility:
        raise UnknownUpload(_UNKNOWN)


@asynccontextmanager
async def original_file(
    store: ObjectStore, upload_id: UploadId, folder: Path
) -> AsyncIterator[tuple[Path, ObjectInfo]]:
    """Yields a copy of the original in `folder`, removed on exit, and the object's info.

    Raises UnknownUpload, OriginalDamaged or Unavailable.
    """
    path = folder / f"original-{uuid4().hex}"
    download = asyncio.create_task(_download(store, upload_id, path))
    try:
        # A cancelled caller does not stop the download's thread, which would create the file after its removal.
        yield path, await asyncio.shield(download)
    finally:
        removal = asyncio.create_task(_remove_after(download, path))
        if download.done():
            await asyncio.shield(removal)


async def _download(store: ObjectStore, upload_id: UploadId, path: Path) -> ObjectInfo:
    try:
        await anyio.Path(path.parent).mkdir(parents=True, exist_ok=True)
        with _translated():
            info = await store.download(original_key(upload_id), path)
        if DIGEST in info.metadata and info.metadata[DIGEST] != await anyio.to_thread.run_sync(digest, path):
            raise OriginalDamaged(_DAMAGED)
    except OSError as error:
        raise Unavailable("Temporary files cannot be written: the disk may be full. Try again later.") from error
    return info


@contextmanager
def _translated() -> Iterator[None]:
    """Translates the store's answers about an original. Raises UnknownUpload, OriginalDamaged or StoreUnavailable."""
    try:
        yield
    except ObjectNotFound:
        raise UnknownUpload(_UNKNOWN) from None
    except StoreUnavailable as error:
        if error.reason != DAMAGED:
            raise
        raise OriginalDamaged(_DAMAGED) from error


async def _remove_after(download: asyncio.Task[ObjectInfo], path: Path) -> None:
    await asyncio.gather(download, return_exceptions=True)
    await anyio.to_thread.run_sync(partial(path.unlink, missing_ok=True))  # a disk may be slow
