"""Makes the CDN forget what it holds, by the tags that every variant carries (proxy/variants/encoded_variant.py)."""

from collections.abc import Sequence
from typing import Protocol


class Cdn(Protocol):
    async def forget(self, tags: Sequence[str]) -> None:
        """Everything that carries one of these. Idempotent. Raises CdnUnavailable."""


class NoCdn:
    """Nothing is told, for nothing is configured."""

    async def forget(self, tags: Sequence[str]) -> None:
        pass
