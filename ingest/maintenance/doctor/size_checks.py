"""Checks that the memory for one image is enough for the configured sizes."""

from dataclasses import replace

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning
from proxy.imaging import vips
from proxy.imaging.animation.animation_limits import MAX_FRAMES, is_played
from proxy.imaging.header import Header
from proxy.model import Format, Variant
from proxy.recipe import Recipes
from proxy.rendering.memory_estimate import estimate
from proxy.rendering.pool import most_bytes
from proxy.settings import RENDER_IDLE_MB, Settings

_PHOTO, _PHOTO_BYTES = Header("jpeg", 4000, 3000), 4 << 20
_CLIP, _CLIP_BYTES = Header("gif key", 480, 270), 8 << 20
_DENSITIES = (1, 2, 3)
_SHOWN = 4


def memory(settings: Settings) -> CheckResult:
    """Estimates every variant of a 12-megapixel JPEG, and of animated sizes the longest animation of 480x270."""
    most = most_bytes(settings.render_memory_mb, settings.render_processes, settings.render_process_mb) >> 20
    variants = [replace(each, density=density) for density in _DENSITIES for each in settings.sizes.variants]
    needs = {variant: _needed_mb(settings, variant) for variant in variants}
    heavy = sorted((one for one in variants if needs[one] > most), key=lambda one: (one.density, -needs[one]))
    if not heavy:
        return ok(f"{most} MiB for one image; the sizes need at most {max(needs.values())} for a 12-megapixel JPEG")
    by_process = most == settings.render_process_mb - RENDER_IDLE_MB
    name = "RENDER_PROCESS_MB" if by_process else "RENDER_MEMORY_MB"
    given = settings.render_process_mb if by_process else settings.render_memory_mb
    shown = ", ".join(f"{variant.name} ({needs[variant]})" for variant in heavy[:_SHOWN])
    others = f" and {len(heavy) - _SHOWN} others" if len(heavy) > _SHOWN else ""
    remark = (
        f"{name}={given} leaves {most} MiB for one image. A 12-megapixel JPEG or a long animation takes more in "
        f"{shown}{others}, so these variants are 422 too_heavy: set it to {given + max(needs.values()) - most} or more."
    )
    standard = set(settings.sizes.standard(None))
    return failed(remark) if standard.intersection(heavy) else warning(remark)


def _needed_mb(settings: Settings, variant: Variant) -> int:
    target = Recipes(settings).target(variant)
    by_vips = vips.is_installed()
    needed = estimate(_PHOTO, _PHOTO_BYTES, [target], by_vips=by_vips)
    if target.animated and variant.format is Format.WEBP:
        sides = _CLIP.width, _CLIP.height
        frames = next((count for count in range(MAX_FRAMES, 1, -1) if is_played(sides, count, target)), 1)
        needed = max(needed, estimate(_CLIP, _CLIP_BYTES, [target], by_vips=by_vips, frames=frames))
    return -(-needed >> 20)
