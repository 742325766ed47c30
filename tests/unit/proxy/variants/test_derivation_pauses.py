"""Pauses after time-outs and crashes of derivations."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

import pytest

from proxy.errors import DerivationPaused, DerivationTimeout, RenderFailed, ServiceError, Undecodable
from proxy.model import Fit, Format, Size, UploadId, Variant, new_upload_id
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.settings import Quality, Settings
from proxy.variants import derive
from proxy.variants.derivation_pauses import DerivationFailures, DerivationPauses
from proxy.variants.variant_service import VariantService
from tests.fakes import FakePool

SIZE = Size("large", 800, 800, Fit.COVER)
AVIF, WEBP = Variant(SIZE, Format.AVIF), Variant(SIZE, Format.WEBP)
UPLOAD = new_upload_id()
Make = Callable[..., VariantService]


@dataclass
class Clock:
    now: float = 1e9

    def __call__(self) -> float:
        return self.now


@dataclass
class Shared:
    """Shared failures, in memory."""

    entries: dict[str, DerivationFailures] = field(default_factory=dict)

    async def get(self, keys: Sequence[str]) -> Sequence[DerivationFailures | None]:
        return [self.entries.get(key) for key in keys]

    async def put(self, key: str, failures: DerivationFailures) -> None:
        self.entries[key] = failures

    async def delete(self, key: str) -> None:
        self.entries.pop(key)

    async def close(self) -> None: ...


async def pause(pauses: DerivationPauses, *variants: Variant, upload_id: UploadId = UPLOAD) -> int | None:
    """Seconds until another try, None if nothing is paused."""
    try:
        await pauses.raise_if_paused(upload_id, variants)
    except DerivationPaused as error:
        return error.retry_after
    return None


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pauses(recipes: Recipes, clock: Clock) -> DerivationPauses:
    return DerivationPauses(recipes, clock=clock)


@pytest.mark.promise("A15")
async def test_pauses_double_up_to_ten_minutes(pauses: DerivationPauses, clock: Clock) -> None:
    seen = []
    for _ in range(9):
        await pauses.record_failure(UPLOAD, AVIF)
        seen.append(await pause(pauses, AVIF))
        clock.now += seen[-1] or 0
        assert await pause(pauses, AVIF) is None

    assert seen == [10, 20, 40, 80, 160, 320, 600, 600, 600]


async def test_only_the_failed_variant_is_paused(pauses: DerivationPauses) -> None:
    await pauses.record_failure(UPLOAD, AVIF)

    assert await pause(pauses, WEBP) is None
    assert await pause(pauses, AVIF, upload_id=new_upload_id()) is None
    assert await pause(pauses, WEBP, AVIF) == 10


async def test_success_resets_the_count_of_failures(pauses: DerivationPauses) -> None:
    for _ in range(3):
        await pauses.record_failure(UPLOAD, AVIF)
    await pauses.record_success(UPLOAD, AVIF)
    assert await pause(pauses, AVIF) is None

    await pauses.record_failure(UPLOAD, AVIF)
    assert await pause(pauses, AVIF) == 10


async def test_failures_are_forgotten_after_an_hour(pauses: DerivationPauses, clock: Clock) -> None:
    for _ in range(3):
        await pauses.record_failure(UPLOAD, AVIF)
    clock.now += 3600

    await pauses.record_failure(UPLOAD, AVIF)

    assert await pause(pauses, AVIF) == 10


async def test_another_recipe_is_tried_at_once(clock: Clock) -> None:
    shared = Shared()
    before = DerivationPauses(Recipes(Settings()), shared, clock)
    after = DerivationPauses(Recipes(Settings(quality=Quality(avif=30))), shared, clock)

    await before.record_failure(UPLOAD, AVIF)

    assert (await pause(before, AVIF), await pause(after, AVIF)) == (10, None)


async def test_processes_share_failures_and_successes(recipes: Recipes, clock: Clock) -> None:
    shared = Shared()
    one, other = (DerivationPauses(recipes, shared, clock) for _ in range(2))
    await one.record_failure(UPLOAD, AVIF)
    assert await pause(other, AVIF) == 10

    clock.now += 10
    assert await pause(other, AVIF) is None
    await other.record_failure(UPLOAD, AVIF)
    assert await pause(one, AVIF) == 20

    await other.record_success(UPLOAD, AVIF)
    assert shared.entries == {}


async def test_pause_recorded_by_a_machine_with_a_wrong_clock_is_bounded(recipes: Recipes, clock: Clock) -> None:
    shared = Shared()
    await DerivationPauses(recipes, shared, Clock(clock.now + 1e6)).record_failure(UPLOAD, AVIF)

    assert await pause(DerivationPauses(recipes, shared, clock), AVIF) == 600


async def failure_of(variant_service: VariantService, upload_id: UploadId, variant: Variant) -> type[ServiceError]:
    with pytest.raises(ServiceError) as caught:
        await variant_service.fetch(upload_id, variant)
    return type(caught.value)


class TestFetch:
    @pytest.mark.promise("A15")
    @pytest.mark.parametrize("failure", [DerivationTimeout(), RenderFailed()])
    async def test_failed_variant_takes_no_process_until_its_pause_ends(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId, failure: ServiceError
    ) -> None:
        pool.failure = failure
        assert await failure_of(variant_service, upload_id, AVIF) is type(failure)
        pool.failure = None

        assert [await failure_of(variant_service, upload_id, AVIF) for _ in range(3)] == [DerivationPaused] * 3
        assert len(pool.requests) == 1
        assert (await variant_service.fetch(upload_id, WEBP)).encoded.body

    @pytest.mark.parametrize(("step", "second"), [(1.0, DerivationPaused), (0.0, DerivationTimeout)])
    async def test_variant_that_takes_most_of_the_requests_time_is_paused(
        self,
        *,
        make: Make,
        pool: FakePool,
        upload_id: UploadId,
        monkeypatch: pytest.MonkeyPatch,
        step: float,
        second: type[ServiceError],
    ) -> None:
        """`step`: how many seconds pass from one look at the clock to the next."""
        monkeypatch.setattr(derive, "monotonic", count(0, step).__next__)
        variant_service = make(timeout=0.5)
        pool.hold(1)
        pool.hold(2)

        assert await failure_of(variant_service, upload_id, AVIF) is DerivationTimeout
        await variant_service.drain()
        assert await failure_of(variant_service, upload_id, AVIF) is second

    async def test_variant_is_not_paused_if_its_request_only_waited_for_a_process(
        self, make: Make, pool: FakePool, upload_id: UploadId
    ) -> None:
        variant_service = make(timeout=0.5)
        entrance = pool.hold_entrance(Priority.LIVE)
        assert await failure_of(variant_service, upload_id, AVIF) is DerivationTimeout
        await variant_service.drain()
        entrance.open()

        assert (await variant_service.fetch(upload_id, AVIF)).encoded.body

    async def test_refusal_of_an_original_pauses_nothing(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        pool.failure = Undecodable("Broken.")

        assert [await failure_of(variant_service, upload_id, AVIF) for _ in range(2)] == [Undecodable] * 2

    async def test_ensure_with_a_paused_variant_raises_and_takes_no_process(
        self, variant_service: VariantService, pool: FakePool, upload_id: UploadId
    ) -> None:
        pool.failure = RenderFailed()
        assert await failure_of(variant_service, upload_id, AVIF) is RenderFailed
        pool.failure = None

        with pytest.raises(DerivationPaused, match=rf"^Deriving {re.escape(AVIF.name)} has timed out or crashed"):
            [one async for one in variant_service.ensure(upload_id, [WEBP, AVIF])]
        assert len(pool.requests) == 1
