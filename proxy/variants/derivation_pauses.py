"""Pauses the derivation of variants that timed out or crashed their render worker, so that they do not occupy them all.

The pause grows with each failure in a row. Other variants of the upload are not affected.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from cachetools import TTLCache

from proxy.errors import DerivationPaused
from proxy.keys import variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes

log = structlog.get_logger()

FIRST_PAUSE = 10  # seconds; each further failure doubles it
LONGEST_PAUSE = 600  # seconds
REMEMBERED = 3600
"""Seconds for which failures are remembered. Longer than the longest pause: otherwise every failure would count as the
first."""

_MAX_ENTRIES = 10_000  # of some hundred bytes


@dataclass(frozen=True, slots=True)
class DerivationFailures:
    """`count`: failures in a row. `until`: the end of the pause, in seconds since the epoch."""

    count: int
    until: float

    @property
    def text(self) -> str:
        """The failures as text, for stores that processes share."""
        return f"{self.count} {self.until:.0f}"


def parse_failures(text: bytes | str | None) -> DerivationFailures | None:
    """Parses `DerivationFailures.text`. Returns None for anything else."""
    try:
        count, until = map(int, (text or b"").split())
    except ValueError:
        return None
    return DerivationFailures(count, until) if count > 0 else None


class SharedFailures(Protocol):
    """Failures that several processes know. Its methods do not raise: without it, each process knows its own."""

    async def get(self, keys: Sequence[str]) -> Sequence[DerivationFailures | None]:
        """Returns the failures of each key, in the order of `keys`; None for a key without failures."""

    async def put(self, key: str, failures: DerivationFailures) -> None:
        """Replaces the failures of a key, for `REMEMBERED` seconds."""

    async def delete(self, key: str) -> None:
        """Forgets the failures of a key."""

    async def close(self) -> None:
        """Frees connections."""


class DerivationPauses:
    """Remembers failures and the pauses that follow. A variant whose recipe changed is tried at once."""

    def __init__(
        self, recipes: Recipes, shared: SharedFailures | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        self._recipes = recipes
        self._shared = shared
        self._clock = clock
        self._known: TTLCache[str, DerivationFailures] = TTLCache(_MAX_ENTRIES, REMEMBERED, clock)

    async def raise_if_paused(self, upload_id: UploadId, variants: Sequence[Variant]) -> None:
        """Raises DerivationPaused if the derivation of one of `variants` is paused."""
        keys = [self._key(upload_id, variant) for variant in variants]
        if self._shared:
            for key, failures in zip(keys, await self._shared.get(keys), strict=True):
                if failures:
                    self._known[key] = failures
        named = zip(keys, variants, strict=True)
        until, name = max(
            ((self._known[key].until, variant.name) for key, variant in named if key in self._known), default=(0.0, "")
        )
        # At most LONGEST_PAUSE, because the clock of the machine that wrote `until` may be wrong.
        seconds = min(until - self._clock(), LONGEST_PAUSE)
        if seconds > 0:
            raise DerivationPaused(
                f"Deriving {name} has timed out or crashed before. It is tried again after a pause.",
                retry_after=math.ceil(seconds),
            )

    async def record_failure(self, upload_id: UploadId, variant: Variant) -> None:
        """Begins a pause: 10 seconds after the first failure, and twice as long after each further one."""
        key = self._key(upload_id, variant)
        count = self._known[key].count + 1 if key in self._known else 1
        seconds = min(FIRST_PAUSE * 2 ** min(count - 1, 10), LONGEST_PAUSE)
        self._known[key] = failures = DerivationFailures(count, self._clock() + seconds)
        log.warning("derivation paused", upload=upload_id, variant=variant.name, failures=count, retry_in=seconds)
        if self._shared:
            await self._shared.put(key, failures)

    async def record_success(self, upload_id: UploadId, variant: Variant) -> None:
        """Forgets the failures of a variant."""
        key = self._key(upload_id, variant)
        if self._known.pop(key, None) and self._shared:
            await self._shared.delete(key)

    async def close(self) -> None:
        if self._shared:
            await self._shared.close()

    def _key(self, upload_id: UploadId, variant: Variant) -> str:
        return f"{variant_key(upload_id, variant)}#{self._recipes.fingerprint(variant)}"
