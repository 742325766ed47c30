"""Memory estimates of watermarks."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.memory import DECODERS, LIBVIPS, compare
from benchmarks.memory_originals import ORIGINALS
from proxy.imaging.header import Header
from proxy.model import Format, Watermark
from proxy.rendering.memory_estimate import (
    EFFECTS,
    WATERMARK,
    estimate,
)
from proxy.settings import WatermarkFile
from tests.conftest import reads
from tests.pictures import raw_png, save
from tests.unit.proxy.imaging.reference import target

MB = 1 << 20

MARKS = {
    "PNG": lambda image: save(image, "PNG"),
    "WebP": lambda image: save(image, "WEBP", quality=50),
    "16 bits": lambda image: raw_png(np.asarray(image, np.uint16) * 257, 16),
}


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("kind", "decoder", "side"),
    [
        ("PNG", LIBVIPS, 800),
        *(
            pytest.param(kind, decoder, side, marks=pytest.mark.long)
            for kind in MARKS
            for decoder in DECODERS
            for side in (150, 2400)
        ),
    ],
)
async def test_largest_watermark_needs_less_than_its_estimate(
    tmp_path: Path, kind: str, decoder: str, side: int
) -> None:
    path, image = tmp_path / "original", Image.linear_gradient("L").resize((1000, 1000)).convert("RGBA")
    image.putalpha(image.getchannel("R"))
    body = MARKS[kind](image)
    file = WatermarkFile("logo", 1_000_000, body, sha256(body).hexdigest())
    path.write_bytes(ORIGINALS["PNG RGBA"](300))

    one = replace(target(side, side, Format.PNG), watermark=Watermark(file.digest, file.pixels, width=1.0))
    again = replace(one, watermark=replace(one.watermark, opacity=0.5))
    estimated, used = await compare(path, [one, again], decoder, [file])

    assert 4 * MB < used < estimated


def test_watermarked_variant_needs_the_file_decoded_and_copies() -> None:
    plain = target(1600, 1600)
    wanted = replace(plain, watermark=Watermark("a" * 64, 1_000_000))
    picture = Header("jpeg", 2000, 2000)

    more = estimate(picture, 0, [wanted], by_vips=True) - estimate(picture, 0, [plain], by_vips=True)

    assert more == WATERMARK * 1_000_000 + (EFFECTS - 15) * 1600 * 1600


def test_watermarked_animation_holds_the_watermark_beside_its_frames() -> None:
    picture = Header("webp animated", 400, 300)
    plain = replace(target(400, 300, Format.WEBP), animated=True)
    wanted = replace(plain, watermark=Watermark("a" * 64, 1_000_000))

    plainly, watermarked = (estimate(picture, 0, [each], by_vips=True, frames=20) for each in (plain, wanted))

    assert watermarked - plainly == WATERMARK * 1_000_000 + 4 * 400 * 300
