"""Replaces stale variants in the background, after they were served."""

import asyncio

import structlog

from proxy.errors import ServiceError
from proxy.keys import variant_key
from proxy.model import UploadId, Variant
from proxy.recipe import Recipes
from proxy.rendering.admission import Priority
from proxy.telemetry import Metrics
from proxy.variants.derive import Deriver
from proxy.variants.encoded_variant import is_current
from proxy.variants.leases.lease_store import LeaseStore
from proxy.variants.variant_store import VariantStore

log = structlog.get_logger()

_MAX_REFRESHES = 4  # concurrent; further stale variants are refreshed on a later request


class StaleRefresher:
    """Derives stale variants again, at background priority.

    `timeout`: seconds for each refresh; it bounds how long `drain` waits.
    """

    def __init__(
        self,
        variants: VariantStore,
        deriver: Deriver,
        recipes: Recipes,
        leases: LeaseStore,
        metrics: Metrics,
        *,
        timeout: float,
    ) -> None:
        self._variants = variants
        self._deriver = deriver
        self._recipes = recipes
        self._leases = leases
        self._metrics = metrics
        self._timeout = timeout
        self._running: dict[tuple[UploadId, Variant], asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._running)

    def schedule(self, upload_id: UploadId, variant: Variant) -> None:
        """Begins to replace the variant in the background, unless its refresh or too many others are running."""
        key = (upload_id, variant)
        if key in self._running:
            return
        if len(self._running) < _MAX_REFRESHES:
            self._running[key] = asyncio.create_task(self._refresh(upload_id, variant))
        else:
            self._count(variant, "deferred")

    async def drain(self) -> None:
        """Waits for running refreshes."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _refresh(self, upload_id: UploadId, variant: Variant) -> None:
        """Refreshes a variant. A failure is only logged, because the stale variant stays in use."""
        outcome = "failed"
        try:
            async with (
                self._leases.hold(variant_key(upload_id, variant), wait=False) as held,
                asyncio.timeout(self._timeout),
            ):
                # Also if it is held: another process may have replaced the variant just before.
                if not held or await self._is_current(upload_id, variant):
                    outcome = "elsewhere"
                else:
                    encoded, _ = await self._deriver.derive_one(upload_id, variant, Priority.BACKGROUND)
                    await self._variants.put(upload_id, variant, encoded)
                    outcome = "refreshed"
        except (ServiceError, TimeoutError) as error:
            log.warning("variant refresh failed", upload=upload_id, variant=variant.name, error=str(error) or "timeout")
        except Exception:  # in the background, nothing else would log it
            log.exception("unhandled error in a variant refresh", upload=upload_id, variant=variant.name)
        finally:
            del self._running[upload_id, variant]
            self._count(variant, outcome)

    async def _is_current(self, upload_id: UploadId, variant: Variant) -> bool:
        info = await self._variants.look_up(upload_id, variant)
        return info is not None and is_current(
            info, variant, self._recipes, await self._variants.focus_for(upload_id, variant)
        )

    def _count(self, variant: Variant, outcome: str) -> None:
        self._metrics.stale_variants.labels(variant.size_name, variant.format, outcome).inc()
