"""What fetches returned, and how often the fake pool rendered."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from proxy.telemetry import Metrics
from proxy.variants.leases.file_leases import FileLeaseStore
from proxy.variants.variant_service import VariantService
from tests.fakes import sample

Make = Callable[..., VariantService]


def tiers(metrics: Metrics) -> dict[str, float]:
    """Requests by tier, without tiers that served none."""
    names = ("hot", "stored", "derived", "collapsed", "refused")
    counts = {name: sample(metrics, "darkroom_variant_requests_total", tier=name) for name in names}
    return {name: count for name, count in counts.items() if count}


def derived(metrics: Metrics, outcome: str = "ok") -> float:
    return sample(metrics, "darkroom_derivations_total", size="medium@2x", format="webp", outcome=outcome)


class LateLeases(FileLeaseStore):
    """Those of a process that others overtake between its look at the store and its first lease."""

    def __init__(self, folder: Path, meanwhile: Callable[[], Awaitable[None]]) -> None:
        super().__init__(folder)
        self._meanwhile = meanwhile

    @asynccontextmanager
    async def hold(self, key: str, *, wait: bool = True) -> AsyncIterator[bool]:
        await self._meanwhile()
        async with super().hold(key, wait=wait) as held:
            yield held
