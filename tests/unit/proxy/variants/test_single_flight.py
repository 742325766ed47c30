"""SingleFlight: one piece of work per key, with many and with cancelled callers."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from proxy.variants.single_flight import SingleFlight
from tests.fakes import Gate


class Work:
    """Counts its runs; each waits at the gate and then returns its number, or raises."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.gate = Gate()
        self.runs = 0
        self.finished = 0
        self._failure = failure

    async def __call__(self) -> int:
        self.runs += 1
        run = self.runs
        await self.gate.wait()
        self.finished += 1
        if self._failure:
            raise self._failure
        return run


@pytest.fixture
def flights() -> SingleFlight[str, int]:
    return SingleFlight()


@pytest.fixture
async def warnings_of_the_loop() -> list[str]:
    """Collects what asyncio reports about exceptions that were never retrieved."""
    messages: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: messages.append(context["message"]))
    return messages


async def callers(flights: SingleFlight[str, int], work: Work, number: int) -> list[asyncio.Task[tuple[int, bool]]]:
    tasks = [asyncio.create_task(flights.do("key", work)) for _ in range(number)]
    await work.gate.reached.wait()
    return tasks


class TestDo:
    async def test_concurrent_callers_share_one_run(self, flights: SingleFlight[str, int]) -> None:
        work = Work()
        tasks = await callers(flights, work, 20)

        work.gate.open()

        assert await asyncio.gather(*tasks) == [(1, True)] + [(1, False)] * 19
        assert work.runs == 1

    async def test_different_keys_run_separately(self, flights: SingleFlight[str, int]) -> None:
        work = Work()
        work.gate.open()

        results = await asyncio.gather(flights.do("a", work), flights.do("b", work))

        assert sorted(results) == [(1, True), (2, True)]

    async def test_failure_reaches_all_callers(self, flights: SingleFlight[str, int]) -> None:
        failure = LookupError("no")
        work = Work(failure)
        tasks = await callers(flights, work, 5)

        work.gate.open()

        assert await asyncio.gather(*tasks, return_exceptions=True) == [failure] * 5
        assert work.runs == 1

    @pytest.mark.parametrize("failure", [None, LookupError("no")], ids=["success", "failure"])
    async def test_key_is_free_after_completion(
        self, flights: SingleFlight[str, int], failure: Exception | None
    ) -> None:
        work = Work(failure)
        tasks = await callers(flights, work, 2)
        assert "key" in flights

        work.gate.open()
        await asyncio.gather(*tasks, return_exceptions=True)

        assert "key" not in flights
        again = await asyncio.gather(flights.do("key", work), return_exceptions=True)
        assert again == [failure or (2, True)]

    @pytest.mark.parametrize("leaving", [0, 2], ids=["the leader", "a joiner"])
    async def test_cancelled_caller_does_not_cancel_the_work(
        self, flights: SingleFlight[str, int], leaving: int
    ) -> None:
        work = Work()
        tasks = await callers(flights, work, 3)

        tasks[leaving].cancel()
        await asyncio.wait([tasks[leaving]])
        work.gate.open()
        results = await asyncio.gather(*tasks, return_exceptions=True)

        assert [result for index, result in enumerate(results) if index != leaving] == [
            (1, index == 0) for index in range(3) if index != leaving
        ]
        assert isinstance(results[leaving], asyncio.CancelledError)
        assert work.finished == 1

    async def test_work_completes_if_all_callers_are_cancelled(self, flights: SingleFlight[str, int]) -> None:
        work = Work()
        tasks = await callers(flights, work, 3)

        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        late = asyncio.create_task(flights.do("key", work))
        work.gate.open()

        assert await late == (1, False)
        assert work.finished == 1

    @pytest.mark.heavy
    async def test_unobserved_failure_causes_no_warning(
        self, flights: SingleFlight[str, int], warnings_of_the_loop: list[str]
    ) -> None:
        work = Work(LookupError("no"))
        tasks = await callers(flights, work, 3)

        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        work.gate.open()
        await flights.drain()
        del tasks
        gc.collect()

        assert work.finished == 1
        assert warnings_of_the_loop == []


class TestDrain:
    async def test_drain_waits_for_running_and_new_flights(self, flights: SingleFlight[str, int]) -> None:
        first, second = Work(), Work()
        tasks = await callers(flights, first, 1)
        draining = asyncio.create_task(flights.drain())
        tasks.append(asyncio.create_task(flights.do("other", second)))
        await second.gate.reached.wait()

        first.gate.open()
        await tasks[0]
        assert not draining.done()

        second.gate.open()
        await draining
        assert first.finished == second.finished == 1
        await asyncio.gather(*tasks)

    async def test_drain_without_flights_ends_at_once(self, flights: SingleFlight[str, int]) -> None:
        await flights.drain()


def abandoned_error() -> Exception:
    return RuntimeError("handed back")


@contextmanager
def claimed_flights(flights: SingleFlight[str, int], *keys: str) -> Iterator[dict[str, "asyncio.Future[int]"]]:
    """The flights of those keys that had none."""
    with flights.claiming(abandoned_error) as claim:
        claimed = {key: claim(key) for key in keys}
        yield {key: flight for key, flight in claimed.items() if flight}


class TestClaim:
    async def test_joiners_get_the_result_that_the_claiming_block_sets(self, flights: SingleFlight[str, int]) -> None:
        work = Work()
        with claimed_flights(flights, "a", "b") as claimed:
            joiner = asyncio.create_task(flights.do("a", work))
            await asyncio.sleep(0)
            claimed["a"].set_result(7)
            claimed["b"].set_result(8)
            assert await joiner == (7, False)

        assert work.runs == 0
        assert "a" not in flights
        assert "b" not in flights

    async def test_key_is_free_as_soon_as_its_result_is_set(self, flights: SingleFlight[str, int]) -> None:
        work = Work()
        work.gate.open()
        with claimed_flights(flights, "a", "b") as claimed:
            claimed["a"].set_result(7)
            await asyncio.sleep(0)

            assert await flights.do("a", work) == (1, True)
            assert "b" in flights
            claimed["b"].set_result(8)

    async def test_claim_skips_keys_with_running_flights(self, flights: SingleFlight[str, int]) -> None:
        work = Work()
        [live] = await callers(flights, work, 1)

        with claimed_flights(flights, "key", "free") as claimed:
            assert list(claimed) == ["free"]

        assert not live.done()
        work.gate.open()
        assert await live == (1, True)

    async def test_joiners_of_unset_flights_get_the_blocks_exception(self, flights: SingleFlight[str, int]) -> None:
        failure = LookupError("no")
        joiners = []

        async def block() -> None:
            with claimed_flights(flights, "a", "b") as claimed:
                joiners.extend(asyncio.create_task(flights.do(key, Work())) for key in ("a", "b"))
                await asyncio.sleep(0)
                claimed["a"].set_result(7)
                raise failure

        with pytest.raises(LookupError):
            await block()

        assert await asyncio.gather(*joiners, return_exceptions=True) == [(7, False), failure]

    async def test_joiners_of_unset_flights_get_the_abandoned_error(self, flights: SingleFlight[str, int]) -> None:
        with claimed_flights(flights, "a"):
            joiner = asyncio.create_task(flights.do("a", Work()))
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="handed back"):
            await joiner
        assert "a" not in flights

    async def test_joiners_of_a_cancelled_block_get_the_abandoned_error(self, flights: SingleFlight[str, int]) -> None:
        gate = Gate()

        async def block() -> None:
            with claimed_flights(flights, "a"):
                await gate.wait()

        task = asyncio.create_task(block())
        await gate.reached.wait()
        joiner = asyncio.create_task(flights.do("a", Work()))
        await asyncio.sleep(0)
        task.cancel()

        with pytest.raises(RuntimeError, match="handed back"):
            await joiner
        assert task.cancelled()

    async def test_cancelled_joiner_does_not_complete_the_flight(self, flights: SingleFlight[str, int]) -> None:
        with claimed_flights(flights, "a") as claimed:
            first, second = (asyncio.create_task(flights.do("a", Work())) for _ in range(2))
            await asyncio.sleep(0)
            first.cancel()
            await asyncio.wait([first])
            claimed["a"].set_result(7)

            assert await second == (7, False)

    @pytest.mark.heavy
    async def test_failed_claims_without_joiners_cause_no_warning(
        self, flights: SingleFlight[str, int], warnings_of_the_loop: list[str]
    ) -> None:
        with claimed_flights(flights, "a"):
            pass
        with pytest.raises(LookupError), claimed_flights(flights, "b"):
            raise LookupError
        await flights.drain()
        gc.collect()

        assert warnings_of_the_loop == []
