"""The similarity of a variant to a reference: the original, decoded in full, turned, converted and resized by Pillow.

If the scaled side is not a whole number of pixels, Darkroom crops the exact centre, and sharp rounds the image first
and then crops. Both are right, and the difference of less than a pixel is invisible, but it lowers the score from 96 to
50. So each tool has a reference with its own geometry.
"""

import io
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image, ImageCms, ImageOps

from benchmarks.peers import install
from benchmarks.peers.worker import Worker
from proxy.model import Format

Geometry = Callable[[Image.Image, int], Image.Image]
SRGB = ImageCms.createProfile("sRGB")


class Judge:
    """Scores by SSIMULACRA2, in a process of its own."""

    def __init__(self, python: Path) -> None:
        self._worker = Worker([str(python), str(install.HERE / "ssimulacra.py")])
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.__exit__(kind, error, trace)
        self._folder.cleanup()

    def scores(
        self, original: Path, geometry: Geometry, side: int, files: Mapping[Format, Path]
    ) -> dict[Format, float]:
        image = reference(original, geometry, side)
        scores = {}
        for wanted, formats in _references(image, files):
            scores.update(zip(formats, self.likeness(wanted, [files[format] for format in formats]), strict=True))
        return scores

    def likeness(self, wanted: Image.Image, files: Iterable[Path]) -> list[float]:
        """Returns the score of each file against `wanted`."""
        reference = Path(self._folder.name, "wanted.png")
        wanted.save(reference, compress_level=1)
        scores: list[float] = self._worker.ask(reference=str(reference), files=[*map(str, files)])["scores"]
        return scores


def reference(original: Path, geometry: Geometry, side: int) -> Image.Image:
    """Returns what a variant of `side` x `side` pixels should show, in RGB or RGBA."""
    return geometry(_decoded(original), side)


def exact(image: Image.Image, side: int) -> Image.Image:
    return ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)


def rounded(image: Image.Image, side: int) -> Image.Image:
    scale = side / min(image.size)
    width, height = round(image.width * scale), round(image.height * scale)
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    return image.resize((width, height), Image.Resampling.LANCZOS).crop((left, top, left + side, top + side))


def _references(image: Image.Image, formats: Mapping[Format, Path]) -> list[tuple[Image.Image, list[Format]]]:
    """Returns what each format should show: JPEG is white where others are transparent."""
    if image.mode == "RGB":
        return [(image, list(formats))]
    white = Image.alpha_composite(Image.new("RGBA", image.size, "#ffffff"), image).convert("RGB")
    others = [format for format in formats if format is not Format.JPG]
    return [(white, [Format.JPG])] * (Format.JPG in formats) + [(image, others)] * bool(others)


@lru_cache(maxsize=1)
def _decoded(path: Path) -> Image.Image:
    with Image.open(path) as stored:
        upright = ImageOps.exif_transpose(stored)
    profile = upright.info.get("icc_profile")
    image = upright.convert("RGBA" if upright.has_transparency_data else "RGB")
    if profile:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        ImageCms.profileToProfile(image, source, SRGB, outputMode=image.mode, inPlace=True)
    return image
