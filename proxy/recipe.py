"""A variant's rendering target, and the fingerprint that tells whether a stored variant is stale."""

import hashlib
import json
from dataclasses import asdict, fields

from proxy.imaging import encode
from proxy.imaging.target import Target
from proxy.model import ColorSpace, Fit, Focus, Format, Position, Variant
from proxy.settings import Settings

RENDERING_VERSION = 8
"""Increase it by one with every code change that changes a variant's bytes: it makes stored variants stale.

`tests/unit/proxy/test_golden_renderings.py` fails if bytes change and this number does not.
"""


class Recipes:
    """Computes rendering targets and fingerprints of variants from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fingerprints: dict[Variant, str] = {}

    def target(self, variant: Variant, focus: Focus | None = None) -> Target:
        """Returns the rendering target of a variant. `focus`: of the upload; only sizes that crop around it use it."""
        usual = getattr(self._settings.quality, variant.format, None)
        quality = dict(variant.size.quality).get(variant.format, usual)
        searched = variant.size.auto_quality and quality is not None
        return Target(
            width=variant.width,
            height=variant.height,
            fit=variant.size.fit,
            format=variant.format,
            quality=quality,
            background=variant.size.background,
            keep_exif=not self._settings.strip_metadata,
            score=self._settings.quality.score if searched else None,
            enlarge=variant.size.enlarge,
            grayscale=variant.size.grayscale,
            blur=variant.size.blur,
            sharpen=variant.size.sharpen,
            density=1 if variant.size.blur is None else variant.density,
            position=variant.size.position,
            focus=focus if variant.size.position is Position.FOCUS else None,
            animated=variant.size.animated and variant.format is Format.WEBP,
            watermark=variant.size.watermark,
            color_space=ColorSpace.SRGB if variant.size.grayscale else self._settings.color_space,
        )

    def fingerprint(self, variant: Variant) -> str:
        """Returns 12 hex digits of a hash of everything that decides the variant's bytes.

        That is its target without the upload's focus, `RENDERING_VERSION`, and the versions of the codecs that its
        format depends on. A field of the target that has its default is left out, so a new option makes only those
        variants stale that use it.
        """
        if variant not in self._fingerprints:
            target = self.target(variant)
            decisive = {
                each.name: value for each in fields(target) if (value := getattr(target, each.name)) != each.default
            }
            if variant.format is not Format.JPG and target.fit is not Fit.PAD:
                del decisive["background"]  # formats with transparency do not use it
            facts = {
                "target": decisive,
                "rendering": RENDERING_VERSION,
                "codecs": encode.versions(variant.format),
            }
            text = json.dumps(facts, sort_keys=True, default=asdict)
            self._fingerprints[variant] = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._fingerprints[variant]
