"""Measured memory: never above the estimate, with whatever libraries decode."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from PIL import Image

from benchmarks.kinds import page
from benchmarks.memory import DECODERS, LIBVIPS, at_random, compare
from benchmarks.memory_originals import ORIGINALS
from proxy.model import Fit, Format
from tests.camera import oriented
from tests.conftest import reads
from tests.pictures import png, save
from tests.unit.proxy.imaging.reference import target

MB = 1 << 20

MEASURED = [
    (name, decoder)
    for name in ORIGINALS
    for decoder in DECODERS
    if decoder == LIBVIPS or name.startswith(("PNG", "WebP"))  # libvips decodes no JPEG
]
SAMPLE = [("JPEG 4:2:0", LIBVIPS), *(("PNG RGB", decoder) for decoder in DECODERS), ("WebP lossless", LIBVIPS)]
CI = {"progressive JPEG 4:2:0", "WebP lossy", "AVIF 4:2:0", "GIF", "TIFF RGB"}
"""One of each format. The long form has all kinds of each, and HEIC, which takes the longest to make."""


def by_tier(name: str, decoder: str) -> ParameterSet:
    marks = () if (name, decoder) in SAMPLE else pytest.mark.slow if name in CI else pytest.mark.long
    return pytest.param(name, decoder, marks=marks)


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(("name", "decoder"), [by_tier(*one) for one in MEASURED])
async def test_original_needs_less_than_its_estimate(tmp_path: Path, name: str, decoder: str) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS[name](1700))

    estimated, used = await compare(path, [target(400, 400, Format.AVIF)], decoder)

    assert 2 * MB < used < estimated


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("kind", "format"),
    [
        pytest.param(kind, format, marks=pytest.mark.slow if kind == "PNG RGBA" else pytest.mark.long)
        for kind in ("PNG RGB", "PNG RGBA")
        for format in Format
    ],
)
async def test_variant_needs_less_than_its_estimate(tmp_path: Path, kind: str, format: Format) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS[kind](300))

    estimated, used = await compare(path, [target(1000, 1000, format)], LIBVIPS)

    assert 2 * MB < used < estimated


@pytest.mark.slow
@reads("/proc/self/clear_refs")
async def test_avif_of_a_drawing_needs_less_than_its_estimate(tmp_path: Path) -> None:
    """Text in many colours, whose alpha is text as well: palettes and copied blocks are looked for everywhere."""
    path = tmp_path / "original"
    text = page(side=800, ink=("#ff3b30", "#34c759", "#5ac8fa"), paper="#000000", height=12)
    text.putalpha(page(side=800, ink=("#ffffff",), paper="#404040", height=14).convert("L"))
    path.write_bytes(png(text))

    estimated, used = await compare(path, [target(800, 800, Format.AVIF)], LIBVIPS)

    assert 40 * MB < used < estimated


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("side", "format"),
    [
        (800, Format.WEBP),
        *(
            pytest.param(side, format, marks=pytest.mark.long)
            for side, format in ((800, Format.JPG), (800, Format.AVIF), (1200, Format.JPG))
        ),
    ],
)
async def test_quality_search_needs_less_than_its_estimate(tmp_path: Path, format: Format, side: int) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS["PNG RGBA"](300))

    estimated, used = await compare(path, [replace(target(side, side, format), score=80.0)], LIBVIPS)

    assert 40 * MB < used < estimated


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("side", "effect"),
    [
        (1500, {"fit": Fit.PAD, "sharpen": 0.5}),
        *(
            pytest.param(3000, effect, marks=pytest.mark.long)
            for effect in ({"blur": 9.0}, {"sharpen": 0.5}, {"fit": Fit.PAD, "sharpen": 0.5})
        ),
    ],
)
async def test_effects_need_less_than_their_estimate(tmp_path: Path, side: int, effect: dict[str, Any]) -> None:
    """Also of several variants: the pixels of one must not be held while those of the next are made."""
    path = tmp_path / "original"
    image = Image.linear_gradient("L").resize((300, 300)).convert("RGBA")
    image.putalpha(image.getchannel("R"))
    path.write_bytes(oriented(image, 6, "PNG"))

    one = replace(target(side, side, Format.PNG), **effect)
    estimated, used = await compare(path, [one, *(replace(one, sharpen=amount) for amount in (1.0, 1.5))], LIBVIPS)

    assert 20 * MB < used < estimated


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("format", "mode", "side", "frames"),
    [
        ("GIF", "RGB", 300, 20),
        *(
            pytest.param(format, mode, *shape, marks=pytest.mark.long)
            for format in ("GIF", "PNG", "WEBP")
            for mode in ("RGB", "RGBA")
            for shape in ((300, 60), (1000, 12))
        ),
    ],
)
async def test_animation_needs_less_than_its_estimate(
    tmp_path: Path, format: str, mode: str, side: int, frames: int
) -> None:
    """Of noise, which compresses the least."""
    chance, path = np.random.default_rng(1), tmp_path / "original"
    samples = chance.integers(0, 256, (frames, side, side, len(mode)), dtype=np.uint8)
    shown = [Image.fromarray(frame) for frame in samples]
    if format == "GIF":
        shown = [frame.quantize(256, Image.Quantize.FASTOCTREE) for frame in shown]
    path.write_bytes(save(shown[0], format, save_all=True, append_images=shown[1:], duration=100))

    estimated, used = await compare(path, [replace(target(side, side, Format.WEBP), animated=True)], LIBVIPS)

    assert 2 * MB < used < estimated


@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("count", "side"), [pytest.param(4, 1000, marks=pytest.mark.slow), pytest.param(60, 3000, marks=pytest.mark.long)]
)
def test_kernel_limit_refuses_no_valid_image(tmp_path: Path, count: int, side: int) -> None:
    at_random(tmp_path / "original", count, side)
