"""How checks run: in order, concurrently, each with its own deadline, and isolated from each other."""

import asyncio

from ingest.maintenance.doctor.findings import CheckResult, Finding, Verdict, failed, ok, run_checks, warning
from proxy.errors import StoreUnavailable
from tests.fakes import Gate


async def well() -> CheckResult:
    return ok("as it should be")


async def test_run_checks_returns_findings_in_order() -> None:
    async def odd() -> CheckResult:
        return warning("not for ever")

    async def broken() -> CheckResult:
        return failed("turn it off and on")

    assert await run_checks({"third": well, "first": odd, "second": broken}) == [
        Finding("third", Verdict.OK, "as it should be"),
        Finding("first", Verdict.WARNING, "not for ever"),
        Finding("second", Verdict.FAILED, "turn it off and on"),
    ]


async def test_service_error_is_a_failed_finding() -> None:
    async def away() -> CheckResult:
        raise StoreUnavailable("The bucket does not exist.")

    assert await run_checks({"store": away}) == [Finding("store", Verdict.FAILED, "The bucket does not exist.")]


async def test_hanging_check_fails_at_the_deadline() -> None:
    async def hung() -> CheckResult:
        await Gate().wait()
        return ok("never")

    late, other = await run_checks({"late": hung, "other": well}, deadline=0.05)

    assert late.verdict is Verdict.FAILED
    assert "No answer within 0.05 seconds" in late.remark
    assert other == Finding("other", Verdict.OK, "as it should be")


async def test_crashed_check_fails_as_a_bug() -> None:
    async def defective() -> CheckResult:
        raise KeyError("version")

    found, other = await run_checks({"defective": defective, "other": well})

    assert found.verdict is Verdict.FAILED
    assert "KeyError" in found.remark
    assert "bug of Darkroom" in found.remark
    assert other.verdict is Verdict.OK


async def test_checks_run_concurrently() -> None:
    together = asyncio.Barrier(2)

    async def meets() -> CheckResult:
        await together.wait()
        return ok("met")

    assert [each.remark for each in await run_checks({"one": meets, "other": meets}, deadline=5)] == ["met", "met"]
