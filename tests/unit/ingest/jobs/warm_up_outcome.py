"""The outcome of one warm-up in virtual time."""

import asyncio

from ingest.jobs.deliver import deliver
from ingest.jobs.warm_up import WarmUp
from ingest.records import JobStatus, Upload, VariantState, WarmedVariant
from proxy.model import Sizes
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.repositories import MemoryRepository
from tests.unit.ingest.tasks import at_once
from tests.virtual_time import VirtualTimeLoop

STANDARD = SIZES.variants  # of an upload of which no alpha is recorded


OPAQUE = SIZES.standard(alpha=False)


class Outcome:
    """Runs one warm-up of a new upload and keeps everything observable."""

    def __init__(
        self,
        variant_service: ScriptedVariantService,
        *,
        upload: Upload | None = None,
        sizes: Sizes = SIZES,
        **failures: int,
    ) -> None:
        self.upload: Upload = upload or accepted()
        self.sizes = sizes
        self.variant_service = variant_service
        self.repository = MemoryRepository(self.upload)
        self.repository.failures.update(failures)
        self.ended: JobStatus | None = None
        self.waited = 0.0

    def run(self, *, force: bool = False) -> "Outcome":
        at_once(self._run(force=force))
        return self

    async def _run(self, *, force: bool = False) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualTimeLoop)
        warmup = WarmUp(self.repository, self.variant_service, self.sizes)
        self.ended = await deliver(warmup.run, self.upload.upload_id, force=force)
        self.waited = loop.skipped

    @property
    def job(self) -> tuple[JobStatus, int, str | None]:
        upload_id = self.upload.upload_id
        return self.repository.status[upload_id], self.repository.progress[upload_id], self.repository.errors[upload_id]

    @property
    def variants(self) -> dict[str, WarmedVariant]:
        return self.repository.uploads[self.upload.upload_id].variants

    @property
    def states(self) -> list[VariantState]:
        return [self.variants[variant.name].state for variant in STANDARD]

    @property
    def milliseconds(self) -> list[float | None]:
        return [self.variants[variant.name].milliseconds for variant in STANDARD]
