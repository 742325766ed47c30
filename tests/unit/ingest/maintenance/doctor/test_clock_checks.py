"""This machine's clock compared with others."""

from datetime import UTC, datetime, timedelta

import pytest

from ingest.maintenance.doctor.clock_checks import Clock, clocks
from ingest.maintenance.doctor.findings import Verdict
from proxy.errors import StoreUnavailable


def ahead(seconds: float) -> Clock:
    async def clock() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=seconds)

    return clock


async def away() -> datetime:
    raise StoreUnavailable


@pytest.mark.parametrize(
    ("seconds", "verdict"),
    [
        (0, Verdict.OK),
        (4, Verdict.OK),
        (-4, Verdict.OK),
        (6, Verdict.WARNING),
        (-6, Verdict.WARNING),
        (59, Verdict.WARNING),
        (61, Verdict.FAILED),
        (-900, Verdict.FAILED),
    ],
)
async def test_clock_difference_warns_from_5_s_and_fails_from_60_s(seconds: float, verdict: Verdict) -> None:
    judged = await clocks({"Redis": ahead(0), "store": ahead(seconds)})

    assert judged.verdict is verdict
    assert "Redis +0.0 s" in judged.remark
    assert f"store {seconds:+.1f} s" in judged.remark
    assert ("NTP" in judged.remark) is (verdict is not Verdict.OK)


async def test_unavailable_clock_is_left_out() -> None:
    judged = await clocks({"store": away, "database": ahead(70)})

    assert judged.verdict is Verdict.FAILED
    assert "store" not in judged.remark


async def test_check_without_a_readable_clock_warns() -> None:
    assert (await clocks({"store": away})).verdict is Verdict.WARNING


async def test_check_without_other_clocks_is_skipped() -> None:
    judged = await clocks({})

    assert judged.verdict is Verdict.SKIPPED
    assert "nothing to compare" in judged.remark
