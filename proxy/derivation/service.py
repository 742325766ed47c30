"""The one door to a variant: find it, or derive and store it. The route and the warm-up both come through here."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from time import monotonic

import structlog
from cachetools import TTLCache

from proxy.derivation.hot import HotPictures
from proxy.derivation.lock.base import KeyLock, NoLock
from proxy.derivation.originals import original_file
from proxy.derivation.picture import Picture, measured_by
from proxy.derivation.purges import NoPurges, Purges
from proxy.derivation.singleflight import SingleFlight
from proxy.derivation.variants import StoredVariants
from proxy.errors import (
    DerivationTimeout,
    NotFound,
    Refused,
    RenderFailed,
    ServiceError,
    UnknownUpload,
)
from proxy.imaging.admission import Priority
from proxy.imaging.pool import RenderedFile, RenderPool, RenderProcess
from proxy.imaging.target import Measured, Target
from proxy.keys import original_key, variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.storage.base import ObjectExists, ObjectStore
from proxy.telemetry import Metrics

log = structlog.get_logger()

_MAX_REFUSALS = 10_000  # ids known as missing or undecodable; an entry weighs about a kilobyte
_MAX_WRITE_BACKS = 256  # in hand at once; past that a variant is served and derived again another time
_MAX_REFRESHES = 4


class Tier(StrEnum):
    """Where an answer came from."""

    HOT = "hot"
    STORED = "stored"
    DERIVED = "derived"
    COLLAPSED = "collapsed"


@dataclass(frozen=True, slots=True)
class Fetched:
    """`timings` are seconds by rendering stage; empty where nothing was rendered for this caller."""

    picture: Picture
    tier: Tier
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ensured:
    """A variant that is in the store. `seconds` it took to derive; None if it was there already.

    `measured` is None where the quality was given.
    """

    variant: Variant
    size: int
    seconds: float | None
    measured: Measured | None = None


class Derivations:
    """Variants of uploads. The object store is the truth; nothing here outlives the process but what it stores.

    `timeout`: seconds a caller waits at most. `missing_ttl`: seconds for which a missing upload is remembered.
    """

    def __init__(
        self,
        store: ObjectStore,
        pool: RenderPool,
        recipes: Recipes,
        metrics: Metrics,
        lock: KeyLock | None = None,
        *,
        purges: Purges | None = None,
        temporary: Path,
        timeout: float,
        hot_bytes: int,
        missing_ttl: float,
    ) -> None:
        self._store = store
        self._variants = StoredVariants(store, metrics)
        self._pool = pool
        self._recipes = recipes
        self._metrics = metrics
        self._lock: KeyLock = lock or NoLock()
        self._purges: Purges = purges or NoPurges()
        self._temporary = temporary
        self._timeout = timeout
        self._hot = HotPictures(hot_bytes)
        self._hot_requests = metrics.variant_requests.labels(Tier.HOT)
        self._flights: SingleFlight[tuple[UploadId, Variant], Fetched] = SingleFlight()
        self._refusals: TTLCache[UploadId, ServiceError] = TTLCache(_MAX_REFUSALS, missing_ttl)
        # Longer than any derivation under way may take, so that none brings a deleted upload back into memory.
        self._deleted: TTLCache[UploadId, bool] = TTLCache(_MAX_REFUSALS, max(missing_ttl, 2 * timeout))
        self._background: set[asyncio.Task[None]] = set()
        self._refreshing: set[tuple[UploadId, Variant]] = set()

    async def fetch(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """The variant, derived if need be.

        Raises UnknownUpload, Undecodable (or another refusal of the original), TooHeavy, Overloaded, DerivationTimeout,
        RenderFailed or StoreUnavailable.
        """
        if picture := self.hot(upload_id, variant):
            return Fetched(picture, Tier.HOT)
        try:
            fetched = await self._fetch(upload_id, variant)
        except ServiceError:
            self._metrics.variant_requests.labels("refused").inc()
            raise
        self._metrics.variant_requests.labels(fetched.tier).inc()
        return fetched

    def hot(self, upload_id: UploadId, variant: Variant) -> Picture | None:
        """The variant, if it is in memory; a stale one is derived anew in the background."""
        picture = self._hot.get(upload_id, variant)
        if picture is None:
            return None
        if picture.recipe != self._recipes.fingerprint(variant):
            self._refresh_later(upload_id, variant)
        self._hot_requests.inc()
        return picture

    async def ensure(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncGenerator[Ensured]:
        """Sees to it that every variant is stored, with today's recipe; yields each once it is.

        The original is decoded once for all that are missing, and whoever asks for one of them meanwhile gets it from
        here. Raises what `fetch` raises. However long the caller takes between two, no render process waits for it.
        """
        ensured: asyncio.Queue[Ensured | None] = asyncio.Queue()  # never holds more than `variants`

        async def work() -> None:
            try:
                await self._ensure(upload_id, variants, ensured)
            finally:
                ensured.put_nowait(None)

        task = asyncio.create_task(work())
        try:
            while (one := await ensured.get()) is not None:
                yield one
            await task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ensure(
        self, upload_id: UploadId, variants: Sequence[Variant], ensured: asyncio.Queue[Ensured | None]
    ) -> None:
        missing = await self._not_stored(upload_id, variants, ensured)
        if not missing:
            return
        writes: list[asyncio.Task[None]] = []
        async with AsyncExitStack() as leases:
            try:
                left = await self._make(upload_id, missing, ensured, leases, writes)
            except asyncio.CancelledError:
                for write in writes:
                    write.cancel()
                raise
            finally:
                outcomes = await asyncio.gather(*writes, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        for variant in left:
            ensured.put_nowait(await self._ensure_from_others(upload_id, variant))

    async def _make(
        self,
        upload_id: UploadId,
        missing: Sequence[Variant],
        ensured: asyncio.Queue[Ensured | None],
        kept: AsyncExitStack,
        writes: list[asyncio.Task[None]],
    ) -> list[Variant]:
        """Renders what nobody else is making, and begins to write it; returns what somebody else is making."""
        async with (
            self._original(upload_id, missing) as path,
            self._process(Priority.BACKGROUND, path, missing) as process,
        ):
            # Only now, with a process in hand: a live request must not end up waiting behind a queued warm-up.
            leases = await self._lease(upload_id, missing, kept)
            free = await self._not_stored(upload_id, list(leases), ensured)
            with self._flights.claim([(upload_id, variant) for variant in free], _handed_back) as flights:
                made = [variant for variant in free if (upload_id, variant) in flights]
                if made:
                    async for picture, variant, timings in self._render_all(process, path, upload_id, made):
                        flights[upload_id, variant].set_result(Fetched(picture, Tier.DERIVED, timings))
                        # Beside the rendering: who waits for the next variant does not wait for this one's write.
                        done = Ensured(variant, len(picture.body), sum(timings.values()), picture.measured)
                        write = self._put(upload_id, picture, done, leases[variant], ensured)
                        writes.append(asyncio.create_task(write))
        return [variant for variant in missing if variant not in leases or (variant in free and variant not in made)]

    async def _lease(
        self, upload_id: UploadId, variants: Sequence[Variant], kept: AsyncExitStack
    ) -> dict[Variant, AsyncExitStack]:
        """Those whose leases are free, each with its own, to be closed as soon as the variant is stored."""
        leases = {}
        for variant in variants:
            lease = await kept.enter_async_context(AsyncExitStack())
            if await lease.enter_async_context(self._lock.hold(variant_key(upload_id, variant), wait=False)):
                leases[variant] = lease
        return leases

    async def _put(
        self,
        upload_id: UploadId,
        picture: Picture,
        done: Ensured,
        lease: AsyncExitStack,
        ensured: asyncio.Queue[Ensured | None],
    ) -> None:
        async with lease:
            await self._variants.put(upload_id, done.variant, picture)
        ensured.put_nowait(done)

    async def _not_stored(
        self, upload_id: UploadId, variants: Sequence[Variant], ensured: asyncio.Queue[Ensured | None]
    ) -> list[Variant]:
        """Those that are not stored, or stale; the others are done."""
        missing = []
        infos = await asyncio.gather(*(self._variants.info(upload_id, variant) for variant in variants))
        for variant, info in zip(variants, infos, strict=True):
            if info and info.metadata.get("recipe") == self._recipes.fingerprint(variant):
                ensured.put_nowait(Ensured(variant, info.size, None, measured_by(info.metadata)))
            else:
                missing.append(variant)
        return missing

    async def _ensure_from_others(self, upload_id: UploadId, variant: Variant) -> Ensured:
        picture = self._hot.get(upload_id, variant) or (await self._fetch(upload_id, variant)).picture
        stale = picture.recipe != self._recipes.fingerprint(variant)
        if stale:
            picture, _ = await self._render(upload_id, variant, Priority.BACKGROUND)
        with suppress(ObjectExists):
            await self._variants.put(upload_id, variant, picture, if_absent=not stale)
        return Ensured(variant, len(picture.body), None, picture.measured)

    async def cost(self, path: Path, variants: Sequence[Variant]) -> int:
        """Bytes of memory that deriving `variants` of the original at `path` takes. Raises TooHeavy."""
        return await self._pool.cost(path, self._targets(variants))

    async def delete(self, upload_id: UploadId, *variants: Variant) -> None:
        """Removes stored variants, those named or all of them. Idempotent."""
        await self._variants.delete(upload_id, *variants)
        self._hot.forget(upload_id)

    async def purge(self, upload_id: UploadId) -> None:
        """Removes an upload from the store: the original first, so that no derivation under way can outlive it."""
        self._note_deletion(upload_id)
        await self._store.delete(original_key(upload_id))
        await self.delete(upload_id)
        await self._purges.announce(upload_id)

    async def follow_purges(self) -> None:
        """Forgets what other processes delete, until it is cancelled."""
        await self._purges.listen(self._heard_of_deletion)

    def _heard_of_deletion(self, upload_id: UploadId | None) -> None:
        if upload_id is not None:
            self._note_deletion(upload_id)
        self._hot.forget(upload_id)

    def _note_deletion(self, upload_id: UploadId) -> None:
        self._refusals[upload_id] = UnknownUpload("This picture was deleted.")
        self._deleted[upload_id] = True

    async def drain(self) -> None:
        """Waits for flights and write-backs, so that a stopping server loses no work that it has done."""
        await self._flights.drain()
        while self._background:
            await asyncio.wait(list(self._background))

    async def _fetch(self, upload_id: UploadId, variant: Variant) -> Fetched:
        if refusal := self._refusals.get(upload_id):
            raise refusal.afresh()
        try:
            async with asyncio.timeout(self._timeout):
                fetched, leads = await self._flights.do(
                    (upload_id, variant), lambda: self._find_or_derive(upload_id, variant)
                )
        except TimeoutError:
            raise self._late() from None
        if not leads and fetched.tier is Tier.DERIVED:
            return replace(fetched, tier=Tier.COLLAPSED, timings={})
        return fetched

    async def _find_or_derive(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """One flight. Its deadline is its own; the callers who share it come and go."""
        try:
            async with asyncio.timeout(self._timeout):
                fetched = await self._find(upload_id, variant)
                return fetched or await self._derive(upload_id, variant)
        except TimeoutError:
            self._count(variant, DerivationTimeout.code)
            raise self._late() from None

    async def _find(self, upload_id: UploadId, variant: Variant) -> Fetched | None:
        picture = await self._variants.find(upload_id, variant)
        if picture is None:
            return None
        if upload_id not in self._deleted:
            self._hot.put(upload_id, variant, picture)
        if picture.recipe != self._recipes.fingerprint(variant):
            self._refresh_later(upload_id, variant)
        return Fetched(picture, Tier.STORED)

    async def _derive(self, upload_id: UploadId, variant: Variant) -> Fetched:
        """The lease covers the write-back too: who waits for it finds the variant stored, and derives nothing."""
        key = variant_key(upload_id, variant)
        async with AsyncExitStack() as lease:
            if not await lease.enter_async_context(self._lock.hold(key, wait=False)):
                await lease.enter_async_context(self._lock.hold(key))
                if found := await self._find(upload_id, variant):
                    return replace(found, tier=Tier.COLLAPSED)
            picture, timings = await self._render(upload_id, variant, Priority.LIVE)
            if len(self._background) < _MAX_WRITE_BACKS:
                self._later(self._variants.write_back(upload_id, variant, picture, lease.pop_all()))
            else:
                self._metrics.write_backs.labels("skipped").inc()
            return Fetched(picture, Tier.DERIVED, timings)

    async def _render(
        self, upload_id: UploadId, variant: Variant, priority: Priority
    ) -> tuple[Picture, dict[str, float]]:
        # The original first: an id that nothing was uploaded under must not take a process from those that wait.
        async with (
            self._original(upload_id, [variant]) as path,
            self._process(priority, path, [variant]) as process,
        ):
            [(picture, _, timings)] = [made async for made in self._render_all(process, path, upload_id, [variant])]
        return picture, timings

    @asynccontextmanager
    async def _original(self, upload_id: UploadId, variants: Sequence[Variant]) -> AsyncIterator[Path]:
        start = monotonic()
        async with AsyncExitStack() as file:
            try:
                path = await file.enter_async_context(original_file(self._store, upload_id, self._temporary))
            except ServiceError as error:
                self._fail(upload_id, variants, error)
                raise
            self._metrics.observe_stages({"fetch": monotonic() - start})
            yield path

    @asynccontextmanager
    async def _process(
        self, priority: Priority, path: Path, variants: Sequence[Variant]
    ) -> AsyncIterator[RenderProcess]:
        """A process with the memory that all of `variants` may take."""
        async with self._pool.process(priority, await self.cost(path, variants)) as process:
            yield process

    def _targets(self, variants: Sequence[Variant]) -> list[Target]:
        return [self._recipes.target(variant) for variant in variants]

    async def _render_all(
        self, process: RenderProcess, path: Path, upload_id: UploadId, variants: Sequence[Variant]
    ) -> AsyncIterator[tuple[Picture, Variant, dict[str, float]]]:
        waiting = set(variants)
        try:
            async for file in process.render(path, self._targets(variants)):
                variant = variants[file.index]
                waiting.discard(variant)
                yield self._derived(upload_id, variant, file), variant, file.timings
        except ServiceError as error:
            self._fail(upload_id, waiting, error)
            raise

    def _derived(self, upload_id: UploadId, variant: Variant, file: RenderedFile) -> Picture:
        recipe = self._recipes.fingerprint(variant)
        picture = Picture.derived(upload_id, variant, file.body, recipe, file.measured)
        if upload_id not in self._deleted:  # deleted meanwhile: who waits gets it, nobody after
            self._hot.put(upload_id, variant, picture)
        self._count(variant, "ok")
        self._metrics.observe_stages(file.timings)
        return picture

    def _count(self, variant: Variant, outcome: str) -> None:
        self._metrics.derivations.labels(variant.size_name, variant.format, outcome).inc()

    def _fail(self, upload_id: UploadId, variants: Iterable[Variant], error: ServiceError) -> None:
        """Counts what could not be derived, and remembers what asking again will not change."""
        for variant in variants:
            self._count(variant, error.code)
        if isinstance(error, (NotFound, Refused)) and not error.retryable:
            self._refusals[upload_id] = error.afresh()

    def _refresh_later(self, upload_id: UploadId, variant: Variant) -> None:
        key = (upload_id, variant)
        if key not in self._refreshing and len(self._refreshing) < _MAX_REFRESHES:
            self._refreshing.add(key)
            self._later(self._refresh(upload_id, variant))

    async def _refresh(self, upload_id: UploadId, variant: Variant) -> None:
        """Replaces a variant of another recipe. Failing is harmless: the stale one goes on being served."""
        try:
            async with self._lock.hold(variant_key(upload_id, variant), wait=False) as held:
                if held:  # otherwise another process is at it
                    picture, _ = await self._render(upload_id, variant, Priority.BACKGROUND)
                    await self._variants.put(upload_id, variant, picture)
        except ServiceError as error:
            log.warning("stale variant not refreshed", upload=upload_id, variant=variant.name, error=str(error))
        finally:
            self._refreshing.discard((upload_id, variant))

    def _late(self) -> DerivationTimeout:
        return DerivationTimeout(f"The picture was not ready within {self._timeout:g} seconds.")

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _handed_back() -> RenderFailed:
    """For those who joined a warm-up that was stopped: their next try derives the variant itself."""
    return RenderFailed("The warm-up that was making this picture was stopped. Try again.", retry_after=1)
