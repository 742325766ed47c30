"""How a variant is made, and the fingerprint of that. Nobody bumps a version by hand."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

from proxy import imaging
from proxy.imaging import codecs
from proxy.imaging.target import Target
from proxy.model import Variant
from proxy.settings import Settings

_RENDERING_CODE = (
    *("channels.py", "codecs.py", "color.py", "decoding.py", "geometry.py", "pipeline.py", "png.py", "vips.py"),
)
_SEARCHING_CODE = ("similarity.py", "tuning.py")


class Recipes:
    """From a variant to its rendering target and its recipe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fingerprints: dict[Variant, str] = {}

    def target(self, variant: Variant) -> Target:
        quality = getattr(self._settings.quality, variant.format, None)
        searched = variant.size.auto_quality and quality is not None
        return Target(
            width=variant.width,
            height=variant.height,
            fit=variant.size.fit,
            format=variant.format,
            quality=quality,
            background=self._settings.background,
            keep_exif=not self._settings.strip_metadata,
            score=self._settings.quality.score if searched else None,
        )

    def fingerprint(self, variant: Variant) -> str:
        """12 hex digits over everything that decides the variant's bytes: its target, our code, the codecs."""
        if variant not in self._fingerprints:
            target = self.target(variant)
            code = self._code if target.score is None else self._code + self._searching_code
            facts = {"target": asdict(target), "code": code, "codecs": codecs.versions()}
            text = json.dumps(facts, sort_keys=True)
            self._fingerprints[variant] = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._fingerprints[variant]

    @cached_property
    def _code(self) -> str:
        return _digest(_RENDERING_CODE)

    @cached_property
    def _searching_code(self) -> str:
        return _digest(_SEARCHING_CODE)


def _digest(names: Sequence[str]) -> str:
    """Of modules that decide bytes. A comment counts too: deriving anew is the cheaper mistake."""
    digest = hashlib.sha256()
    for name in names:
        digest.update((Path(imaging.__path__[0]) / name).read_bytes())
    return digest.hexdigest()
