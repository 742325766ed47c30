"""What asking for variants brings: the picture and where it came from, or that it is stored."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from proxy.imaging.target import Measured
from proxy.model import Variant
from proxy.variants.encoded_variant import EncodedVariant


class Tier(StrEnum):
    """Where an answer came from."""

    MEMORY = "hot"
    STORED = "stored"
    DERIVED = "derived"
    COLLAPSED = "collapsed"


@dataclass(frozen=True, slots=True)
class Fetched:
    """`timings` are seconds by rendering stage; empty where nothing was rendered for this caller."""

    encoded: EncodedVariant
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
