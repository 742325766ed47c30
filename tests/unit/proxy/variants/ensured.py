"""Variants, and an `ensure` that a test holds."""

import asyncio
from collections.abc import Callable, Sequence

from proxy.model import Fit, Size, Sizes, UploadId, Variant
from proxy.variants.results import Ensured
from proxy.variants.variant_service import VariantService
from tests.fakes import FakePool, Gate

Make = Callable[..., VariantService]


SIZES = Sizes(Size("small", 150, 150, Fit.COVER), Size("wide", 600, None, Fit.INSIDE))


ALL = SIZES.variants


ORDER = ALL[::-1]
"""The order in which the fake pool renders."""


async def ensured(
    variant_service: VariantService, upload_id: UploadId, variants: Sequence[Variant] = ALL
) -> dict[Variant, Ensured]:
    """Results by variant; fails if one comes twice."""
    found = [one async for one in variant_service.ensure(upload_id, variants)]
    assert len({one.variant for one in found}) == len(found)
    return {one.variant: one for one in found}


async def start_and_hold(
    variant_service: VariantService, pool: FakePool, upload_id: UploadId, rendering: int
) -> tuple[Gate, asyncio.Task[dict[Variant, Ensured]]]:
    """Starts `ensured` and returns when that rendering, counted from 1, waits at the gate."""
    gate = pool.hold(rendering)
    warm_up = asyncio.create_task(ensured(variant_service, upload_id))
    await gate.reached.wait()
    return gate, warm_up
