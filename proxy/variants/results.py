"""What `VariantService` returns: a fetched variant with its source, an ensured one with its size and time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.imaging.target import Measured
from proxy.model import Variant
from proxy.variants.encoded_variant import EncodedVariant


class Tier(StrEnum):
    """Source of a response. The values are labels of `darkroom_variant_requests_total`."""

    MEMORY = "hot"  # the public label
    STORED = "stored"
    DERIVED = "derived"
    COLLAPSED = "collapsed"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A variant that was found or derived.

    `timings`: seconds by rendering stage; empty unless this call rendered the variant.
    """

    encoded: EncodedVariant
    tier: Tier
    timings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ensured:
    """A variant that is stored.

    `size`: bytes. `seconds`: time to derive it; None if it was stored already, or came from the derivation of a request
    or of another process. `measured` is None if the quality was fixed instead of searched for.
    """

    variant: Variant
    size: int
    seconds: float | None
    measured: Measured | None = None
