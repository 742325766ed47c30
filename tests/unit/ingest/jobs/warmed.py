"""What the database and the store say of a warm-up."""

from ingest.records import JobStatus
from proxy.model import UploadId
from tests.fakes import CountingStore
from tests.unit.ingest.examples import SIZES
from tests.unit.ingest.repositories import WatchedRepository

PENDING, PROCESSING, COMPLETE, FAILED = JobStatus
STANDARD = SIZES.standard(alpha=False)
NAMES = [variant.name for variant in STANDARD]


async def status(repository: WatchedRepository, upload_id: UploadId) -> tuple[JobStatus, int, str | None]:
    _, job = await repository.find(upload_id)
    return job.status, job.progress, job.error


async def sizes_in(store: CountingStore, upload_id: UploadId) -> dict[str, int]:
    """Stored variants by name."""
    prefix = f"images/{upload_id}/"
    return {info.key.removeprefix(prefix): info.size async for info in store.inner.list(prefix)}
