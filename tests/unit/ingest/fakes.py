"""Fakes of what ingest depends on: derivations, the CDN, the queue."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from ingest.jobs.deliver import deliver
from ingest.jobs.queue.warm_up_queue import Handler
from proxy.errors import ServiceError, Unavailable
from proxy.model import UploadId, Variant
from proxy.variants.results import Ensured
from proxy.variants.variant_service import VariantService


class ScriptedVariantService(VariantService):
    """Fakes derivations. Attempts raise the exceptions of `script` after `after` variants; later attempts succeed.

    As in the real service, variants of earlier attempts are stored already and have no seconds.
    """

    def __init__(self, *script: Exception, after: int = 1, during: Callable[[], None] | None = None) -> None:
        self._script = list(script)
        self._after = after
        self._during = during
        self.attempts = 0
        self.stored: set[Variant] = set()
        self.deleted: list[Variant] = []

    async def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        self.attempts += 1
        if self._during:
            self._during()
        for number, variant in enumerate(variants):
            if number == self._after and self._script:
                raise self._script.pop(0)
            yield Ensured(variant, 1000 + number, None if variant in self.stored else 0.25)
            self.stored.add(variant)

    async def delete_variants(self, upload_id: UploadId, *variants: Variant) -> None:
        self.deleted += variants
        self.stored.difference_update(variants)


@dataclass
class RecordingCdn:
    """Records invalidated tags, and those of them that were withdrawn. Raises `failure` if set."""

    failure: ServiceError | None = None
    invalidated: list[str] = field(default_factory=list)
    withdrawn: list[str] = field(default_factory=list)

    async def invalidate(self, tags: Sequence[str], *, withdrawn: bool = False) -> None:
        if self.failure:
            raise self.failure
        self.invalidated += tags
        self.withdrawn += tags if withdrawn else []


@dataclass
class VerifiedInstallation:
    """Database and store that belong together. Raises `failures`, one for each call, first."""

    failures: list[ServiceError] = field(default_factory=list)

    async def verify(self) -> None:
        if self.failures:
            raise self.failures.pop(0)


@dataclass
class RecordingQueue:
    """Records published jobs. Raises `failure` if set. `consume` delivers each job once and returns."""

    failure: ServiceError | None = None
    published: list[UploadId] = field(default_factory=list)
    given_up: dict[UploadId, str] = field(default_factory=dict)

    async def publish(self, upload_id: UploadId) -> None:
        if self.failure:
            raise self.failure
        self.published.append(upload_id)

    async def failure_reason(self, upload_id: UploadId) -> str | None:
        if self.failure:
            raise self.failure
        return self.given_up.get(upload_id)

    async def lengths(self) -> dict[str, int]:
        return {"waiting": len(self.published)}

    async def consume(self, handle: Handler, concurrency: int) -> None:
        for upload_id in self.published:
            await deliver(handle, upload_id)

    async def close(self) -> None:
        pass


def queue_away() -> Unavailable:
    return Unavailable("The fake queue was told to fail.")
