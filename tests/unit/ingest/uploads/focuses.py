"""Focuses to change to, sizes that depend on them, and an upload's focus in the store."""

from dataclasses import replace

from ingest.records import Upload
from ingest.uploads.upload_service import UploadService
from proxy.keys import original_key
from proxy.model import Focus, Position, Sizes, UploadId
from tests.fakes import CountingStore
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.examples import SIZES, image_bytes

FOCUS, OTHER = Focus("0.3,0.7"), Focus("0.9,0.1")
FOCUSED = Sizes(*(replace(size, position=Position.FOCUS) for size in [SIZES["small"]]))


async def received(uploads: UploadService) -> Upload:
    return await uploads.receive(chunks_of(image_bytes(120, 300)))


async def focus_in_store(store: CountingStore, upload_id: UploadId) -> str | None:
    return (await store.inner.head(original_key(upload_id))).metadata.get("focus")
