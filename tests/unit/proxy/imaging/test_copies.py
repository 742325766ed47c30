"""Variants of the original's own size and format."""

from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from proxy.imaging.decode import decode
from proxy.imaging.encode import encode
from proxy.imaging.pipeline import resize
from proxy.model import Format
from tests.photographs import photograph
from tests.pictures import jpeg, png, save, webp
from tests.unit.proxy.imaging.reference import (
    LIMITS,
    decoded,
    on_disk,
    psnr,
    rendered,
    target,
)


@pytest.mark.parametrize("format", [Format.JPG, Format.WEBP])
def test_variant_of_the_originals_size_and_format_takes_no_more_bytes(format: Format) -> None:
    image = photograph("coffee.png").resize((200, 200))
    original = save(image, "JPEG" if format is Format.JPG else "WEBP", quality=60)

    [same, smaller] = rendered(original, target(200, 200, format), target(199, 199, format))

    assert 0.7 * len(original) < len(same) <= len(original)
    assert len(smaller) > len(original)  # at the fixed quality
    assert psnr(decoded(same), image) > psnr(decoded(original), image) - 2


@pytest.mark.parametrize("options", [{"lossless": True}, {"quality": 1}], ids=["lossless", "far below"])
def test_quality_is_kept_if_lowering_it_does_not_help(options: dict[str, Any]) -> None:
    image = Image.linear_gradient("L").resize((200, 200)).convert("RGB")
    image.putpixel((50, 60), (255, 0, 0))
    original = webp(image, **options)

    [same] = rendered(original, target(200, 200, Format.WEBP))

    with on_disk(original) as path:
        decoded_original = resize(decode(path, 800, LIMITS), target(200, 200, Format.WEBP))
    assert same == encode(decoded_original, target(200, 200, Format.WEBP), None)


def test_quality_is_kept_if_sharpening_adds_detail() -> None:
    original = jpeg(photograph("coffee.png").resize((200, 200)), quality=60)
    sharper = replace(target(200, 200, Format.JPG), sharpen=2.0)

    [body] = rendered(original, sharper)

    with on_disk(original) as path:
        assert body == encode(resize(decode(path, 800, LIMITS), sharper), sharper, None)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_part_of_the_original_keeps_its_pixels(mode: str) -> None:
    """Also with alpha, where resampling at the same scale would lose levels."""
    image = Image.effect_noise((201, 103), 100).convert(mode)
    if mode != "RGB":
        image.putalpha(Image.linear_gradient("L").resize(image.size).point(lambda alpha: max(alpha, 1)))

    [body] = rendered(png(image), replace(target(400, 400, Format.PNG), enlarge=False))

    assert decoded(body).convert(mode).tobytes() == image.crop((49, 0, 152, 103)).tobytes()


@pytest.mark.parametrize("quality", [1, 15, 16, 40])
def test_low_fixed_quality_renders_a_copy(quality: int) -> None:
    original = jpeg(photograph("coffee.png").resize((120, 120)), quality=1)

    assert rendered(original, replace(target(120, 120, Format.JPG), quality=quality))
