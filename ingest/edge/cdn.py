"""CDN invalidation by the tags that every variant carries (proxy/variants/encoded_variant.py)."""

from collections.abc import Sequence
from typing import Protocol


class Cdn(Protocol):
    """A cache of variants in front of the origin, or several caches."""

    async def invalidate(self, tags: Sequence[str], *, withdrawn: bool = False) -> None:
        """Invalidates everything that carries one of `tags`. Idempotent. Raises CdnUnavailable.

        `withdrawn`: the variants were deleted or became private, so a response that is on its way to the cache must not
        stay either.
        """


class Cdns:
    """Invalidates several caches one after another. Without a CDN, the list is empty."""

    def __init__(self, *cdns: Cdn) -> None:
        self._cdns = cdns

    async def invalidate(self, tags: Sequence[str], *, withdrawn: bool = False) -> None:
        for cdn in self._cdns:
            await cdn.invalidate(tags, withdrawn=withdrawn)
