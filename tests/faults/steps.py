"""Runs one upload's life in a process that kills itself at the n-th step: after a call of a port, or before a chunk.

Store and database are real (a folder and SQLite). Rendering is fake, so that a run takes milliseconds.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import AsyncIterator
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from ingest.catalog.database import Database
from ingest.catalog.installation_table import InstallationTable
from ingest.catalog.repository import JobRepository
from ingest.edge.cdn import Cdns
from ingest.installation import Installation
from ingest.jobs.queue.local_queue import LocalQueue
from ingest.jobs.queue.warm_up_queue import Delivery
from ingest.jobs.warm_up import WarmUp
from ingest.uploads.upload_fields import UploadFields
from ingest.uploads.upload_service import UploadService
from proxy.imaging.inspect import Inspection
from proxy.imaging.target import Target
from proxy.model import Fit, Size, Sizes, SourceFormat, UploadId
from proxy.recipe import Recipes
from proxy.settings import Settings
from proxy.storage.disk import DiskStore
from proxy.telemetry import Metrics
from proxy.variants.variant_service import VariantService
from tests.fakes import FakePool

SIZES = Sizes(Size("small", 48, 48, Fit.COVER))
ORIGINAL = b"\xff\xd8\xff\xe0" + b"as good as a picture" * 5000
CHUNK = 40_000  # bytes; the original has three


class Pool(FakePool):
    async def estimate_memory(self, path: Path, targets: Any = ()) -> int:
        return await super().estimate_memory(path, targets)

    async def inspect(self, _path: Path) -> Inspection:
        return Inspection(
            SourceFormat.JPEG, 160, 120, "thumb", "#7a6b5c", alpha=False, animated=False, private=[], private_exif=[]
        )


class Stepped:
    """A port each of whose calls is a step, counted once it is done: nothing observable happens in between."""

    def __init__(self, port: Any, steps: "Steps") -> None:
        self._port, self._steps = port, steps

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._port, name)
        if not iscoroutinefunction(method):
            return method

        async def stepped(*arguments: Any, **named: Any) -> Any:
            result = await method(*arguments, **named)
            self._steps.step()
            return result

        return stepped


class Steps:
    def __init__(self, last: int) -> None:
        self._left = last

    def step(self) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


class Life:
    """The services, over `folder`."""

    def __init__(self, folder: Path, steps: Steps) -> None:
        self.folder, self.steps = folder, steps
        settings = Settings(data_dir=folder)
        self.database = Database.from_settings(settings)
        self.repository: Any = Stepped(JobRepository(self.database), steps)
        store: Any = Stepped(DiskStore(settings.objects), steps)
        pool: Any = Pool()
        queue: Any = Stepped(LocalQueue(self.repository), steps)
        metrics = Metrics()
        self.variant_service = VariantService(
            store,
            pool,
            Recipes(settings),
            metrics,
            temporary=settings.temporary,
            timeout=60,
            memory_cache_bytes=0,
            missing_ttl=0,
        )
        self.uploads = UploadService(
            store=store,
            pool=pool,
            repository=self.repository,
            installation=Installation(store, InstallationTable(self.database)),
            queue=queue,
            cdn=Cdns(),
            variant_service=self.variant_service,
            recipes=Recipes(settings),
            sizes=SIZES,
            accept=Settings.model_fields["accept"].default,
            default_visibility=Settings.model_fields["default_visibility"].default,
            metrics=metrics,
            temporary=settings.temporary,
        )
        self.warmup = WarmUp(self.repository, self.variant_service, SIZES)

    async def lead(self) -> None:
        """Uploads, warms up, deletes. Notes each acknowledgement, as a client would."""
        image = await self.uploads.receive(self.chunks(), fields=UploadFields({"owner": "Ida"}))
        self._note("acknowledged", image.upload_id)
        await self.warmup.run(Delivery(image.upload_id, exclusive=True))
        self._note("warmed", image.upload_id)
        await self.uploads.delete(image.upload_id)
        self._note("deleted", image.upload_id)
        await self.database.close()

    def _note(self, what: str, upload_id: UploadId) -> None:
        (self.folder / what).write_text(upload_id)

    async def chunks(self) -> AsyncIterator[bytes]:
        for start in range(0, len(ORIGINAL), CHUNK):
            self.steps.step()
            yield ORIGINAL[start : start + CHUNK]


def targets() -> list[Target]:
    recipes = Recipes(Settings())
    return [recipes.target(variant) for variant in SIZES.standard(alpha=False)]


def live(folder: Path, last: int) -> None:
    asyncio.run(Life(folder, Steps(last)).lead())


def life(folder: Path, last: int) -> bool:
    """Returns True if it ran to completion, False if it was killed. Fails for any other exit."""
    context = multiprocessing.get_context("forkserver")  # imports everything once, for all runs
    context.set_forkserver_preload(["tests.faults.steps"])
    process = context.Process(target=live, args=(folder, last))
    process.start()
    process.join(60)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0
