"""What fetches returned, and how often the fake pool rendered."""

from collections.abc import Callable

from proxy.telemetry import Metrics
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
