"""Write-backs of served variants. The retries are seconds apart, so the clock here skips the waiting."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from proxy.errors import StoreUnavailable
from proxy.keys import original_key, variant_key
from proxy.model import Position, UploadId, Variant, new_upload_id
from proxy.telemetry import Metrics
from proxy.variants.encoded_variant import EncodedVariant
from proxy.variants.variant_store import VariantStore
from tests.fakes import CountingStore, sample
from tests.virtual_time import VirtualTimeLoop


class ClockedStore(CountingStore):
    """Records the times of puts. Loses the responses of the first `lost_answers`."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: list[float] = []
        self.lost_answers = 0

    async def put(self, key: str, body: bytes, **options: Any) -> None:
        self.puts.append(asyncio.get_running_loop().time())
        await super().put(key, body, **options)
        if len(self.puts) <= self.lost_answers:
            raise StoreUnavailable("Cut.")


class Bench:
    """A store with one upload, and a clock that skips waiting."""

    def __init__(self, runner: asyncio.Runner, variant: Variant) -> None:
        self._runner = runner
        self.variant = variant
        self.store = ClockedStore()
        self.metrics = Metrics()
        self._variants = VariantStore(self.store, self.metrics)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._runner.run(work)

    def upload(self) -> UploadId:
        upload_id = new_upload_id()
        self.run(self.store.inner.put(original_key(upload_id), b"an original", content_type="image/jpeg"))
        return upload_id

    def write_back(self, upload_id: UploadId, body: bytes = b"a picture", lease: AsyncExitStack | None = None) -> None:
        encoded = EncodedVariant.from_rendering(upload_id, self.variant, body, "a1b2c3")
        self.run(self._variants.write_back(upload_id, self.variant, encoded, lease or AsyncExitStack()))

    def stored(self, upload_id: UploadId) -> bytes:
        return self.run(self.store.inner.get(variant_key(upload_id, self.variant))).body

    def outcomes(self) -> dict[str, float]:
        """Write-backs by outcome, without zero counts."""
        kinds = ("stored", "lost_race", "gone", "outdated", "failed", "skipped")
        counts = {kind: sample(self.metrics, "darkroom_write_backs_total", outcome=kind) for kind in kinds}
        return {kind: count for kind, count in counts.items() if count}


@pytest.fixture
def bench(variant: Variant) -> Iterator[Bench]:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        yield Bench(runner, variant)


def test_write_back_is_stored_and_counted(bench: Bench) -> None:
    upload_id = bench.upload()

    bench.write_back(upload_id)

    assert bench.stored(upload_id) == b"a picture"
    assert bench.outcomes() == {"stored": 1}
    assert sample(bench.metrics, "darkroom_stage_seconds_count", stage="store") == 1


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_write_back_is_retried_while_the_store_fails(bench: Bench, failures: int) -> None:
    upload_id = bench.upload()
    bench.store.fail("put", failures)

    bench.write_back(upload_id)

    assert bench.stored(upload_id) == b"a picture"
    assert len(bench.store.puts) == failures + 1
    assert bench.outcomes() == {"stored": 1}


def test_write_back_gives_up_after_four_attempts_without_raising(bench: Bench) -> None:
    bench.store.fail("put", 100)

    bench.write_back(bench.upload())

    assert len(bench.store.puts) == 4
    assert bench.outcomes() == {"failed": 1}


def test_write_back_logs_and_counts_an_unexpected_error_without_raising(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def put(*_: object, **__: object) -> None:
        raise ValueError

    monkeypatch.setattr(bench.store, "put", put)

    with capture_logs() as logs:
        bench.write_back(bench.upload())

    assert [(entry["event"], entry["variant"]) for entry in logs] == [
        ("unhandled error in a write-back", bench.variant.name)
    ]
    assert bench.outcomes() == {"failed": 1}


@pytest.mark.promise("E1")
def test_write_back_retries_have_growing_delays(bench: Bench, slept: list[float]) -> None:
    bench.store.fail("put", 100)

    with capture_logs() as logs:
        bench.write_back(bench.upload())

    assert slept == [0.2, 1.0, 4.0]
    assert [line["retry_in"] for line in logs if line["event"] == "write-back failed"] == [0.2, 1.0, 4.0, None]


def test_write_back_releases_the_lease_before_the_first_retry(bench: Bench, slept: list[float]) -> None:
    bench.store.fail("put", 100)
    lease, paused_before = AsyncExitStack(), []
    lease.callback(lambda: paused_before.append(list(slept)))

    bench.write_back(bench.upload(), lease=lease)

    assert paused_before == [[]]


def test_write_back_keeps_the_variant_of_a_faster_process(bench: Bench) -> None:
    upload_id = bench.upload()
    bench.write_back(upload_id)

    bench.write_back(upload_id, b"too late")

    assert bench.stored(upload_id) == b"a picture"
    assert bench.outcomes() == {"stored": 1, "lost_race": 1}


def test_write_back_of_a_deleted_upload_leaves_nothing(bench: Bench) -> None:
    bench.write_back(new_upload_id())

    assert bench.run(bench.store.keys()) == []
    assert bench.outcomes() == {"gone": 1}


def test_write_back_of_a_deleted_upload_leaves_nothing_if_the_first_look_up_fails(bench: Bench) -> None:
    bench.store.fail("head")

    bench.write_back(new_upload_id())

    assert bench.run(bench.store.keys()) == []
    assert bench.outcomes() == {"gone": 1}


def test_write_back_of_a_deleted_upload_leaves_nothing_if_the_first_response_is_lost(bench: Bench) -> None:
    bench.store.lost_answers = 1

    bench.write_back(new_upload_id())

    assert len(bench.store.puts) == 2
    assert bench.run(bench.store.keys()) == []
    assert bench.outcomes() == {"gone": 1}


def test_write_back_is_not_a_lost_race_if_the_first_look_up_fails(bench: Bench) -> None:
    bench.store.fail("head")

    bench.write_back(bench.upload())

    assert bench.outcomes() == {"stored": 1}


def test_variant_around_an_old_focus_is_deleted_again(bench: Bench) -> None:
    """The focus may change after the original was downloaded, and then its variants are deleted."""
    upload_id = bench.upload()
    bench.variant = Variant(replace(bench.variant.size, position=Position.FOCUS), bench.variant.format)
    metadata = {"focus": "0.1,0.9"}
    key = original_key(upload_id)
    bench.run(bench.store.inner.put(key, b"an original", content_type="image/jpeg", metadata=metadata))
    bench.store.fail("delete")

    bench.write_back(upload_id)

    assert bench.outcomes() == {"outdated": 1}
    assert bench.run(bench.store.keys()) == [key]
