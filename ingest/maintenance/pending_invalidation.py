"""The CDN invalidation that a refresh still has to make. It is recorded in the store in case the refresh is killed."""

import asyncio
from collections.abc import Set as AbstractSet

from ingest.edge.cdn import Cdn
from proxy.keys import INVALIDATIONS_KEY
from proxy.storage.object_store import ObjectNotFound, ObjectStore
from proxy.variants.encoded_variant import recipe_tag


class PendingInvalidation:
    """The recipes of replaced variants. One object of the store keeps them from before the first is replaced until the
    CDN has dropped them, so that the next refresh completes what a killed one began.
    """

    def __init__(self, store: ObjectStore, cdn: Cdn) -> None:
        self._store = store
        self._cdn = cdn
        self._lock = asyncio.Lock()  # a put must not overwrite a later one
        self.recipes: frozenset[str] = frozenset()

    async def load(self) -> None:
        """Reads what an earlier refresh has left. Raises StoreUnavailable."""
        try:
            stored = await self._store.get(INVALIDATIONS_KEY)
        except ObjectNotFound:
            return
        self.recipes = frozenset(stored.body.decode(errors="replace").split("\n"))

    async def add(self, recipes: AbstractSet[str]) -> None:
        """Records recipes before their variants are replaced. Raises StoreUnavailable."""
        async with self._lock:
            if recipes <= self.recipes:
                return
            both = self.recipes | recipes
            await self._store.put(INVALIDATIONS_KEY, "\n".join(sorted(both)).encode(), content_type="text/plain")
            self.recipes = both

    async def send(self) -> None:
        """Invalidates the recipes and forgets them. Raises CdnUnavailable or StoreUnavailable."""
        await self._cdn.invalidate([recipe_tag(recipe) for recipe in sorted(self.recipes)])
        await self._store.delete(INVALIDATIONS_KEY)
        self.recipes = frozenset()
