"""How checks are run: in order, side by side, each to its own deadline, none able to break another."""

import asyncio

from ingest.maintenance.doctor.findings import CheckResult, Finding, Status, examine, fine, mend, warning
from proxy.errors import StoreUnavailable
from tests.fakes import Gate


async def well() -> CheckResult:
    return fine("as it should be")


async def test_each_check_has_its_finding_in_their_order() -> None:
    async def odd() -> CheckResult:
        return warning("not for ever")

    async def broken() -> CheckResult:
        return mend("turn it off and on")

    assert await examine({"third": well, "first": odd, "second": broken}) == [
        Finding("third", Status.OK, "as it should be"),
        Finding("first", Status.WARNING, "not for ever"),
        Finding("second", Status.MEND, "turn it off and on"),
    ]


async def test_what_the_service_would_say_is_what_is_to_mend() -> None:
    async def away() -> CheckResult:
        raise StoreUnavailable("The bucket does not exist.")

    assert await examine({"store": away}) == [Finding("store", Status.MEND, "The bucket does not exist.")]


async def test_a_check_that_never_ends_is_ended_and_the_rest_are_found() -> None:
    async def hung() -> CheckResult:
        await Gate().wait()
        return fine("never")

    late, other = await examine({"late": hung, "other": well}, deadline=0.05)

    assert late.verdict is Status.MEND
    assert "No answer within 0.05 seconds" in late.remark
    assert other == Finding("other", Status.OK, "as it should be")


async def test_a_defect_in_a_check_is_named_as_one() -> None:
    async def defective() -> CheckResult:
        raise KeyError("version")

    found, other = await examine({"defective": defective, "other": well})

    assert found.verdict is Status.MEND
    assert "KeyError" in found.remark
    assert "defect of Darkroom" in found.remark
    assert other.verdict is Status.OK


async def test_they_run_side_by_side() -> None:
    together = asyncio.Barrier(2)

    async def meets() -> CheckResult:
        await together.wait()
        return fine("met")

    assert [each.remark for each in await examine({"one": meets, "other": meets}, deadline=5)] == ["met", "met"]
