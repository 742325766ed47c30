"""libvips' resize against Pillow's, which knows fractions of pixels."""

import numpy as np
import pytest
from PIL import Image

from proxy.imaging import vips
from tests.photographs import photograph
from tests.unit.proxy.imaging.reference import pixels

ROCKET = photograph("rocket.jpg")  # 640x427


def centered(width: int, height: int, side: int) -> tuple[Image.Image | None, Image.Image]:
    """Returns a square around the middle, resized by libvips, and by Pillow."""
    image = ROCKET.crop((0, 0, width, height))
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    box = (left, top, left + short, top + short)
    return vips.resize(image, side, side, box), image.resize((side, side), Image.Resampling.LANCZOS, box=box)


@pytest.mark.parametrize("side", [110, 150, 200, 270, 330, 360], ids=lambda side: f"{400 / side:.2f}")
@pytest.mark.parametrize(("width", "height"), [(640, 400), (639, 400), (401, 427), (400, 427)])
def test_middle_of_even_and_odd_images_matches_pillows(width: int, height: int, side: int) -> None:
    resized, wanted = centered(width, height, side)

    assert resized is not None
    assert np.abs(pixels(resized) - pixels(wanted)).mean() < 0.5


@pytest.mark.parametrize(
    ("box", "side"),
    [
        pytest.param((0.25, 0, 400.25, 400), 200, id="off the middle"),
        pytest.param((120.5, 0, 520.5, 400), 395, id="nearly as large"),
        pytest.param((0, 0, 200, 200), 201, id="enlarged"),
        pytest.param((0, 0, 400, 400), 100, id="a quarter"),
    ],
)
def test_other_parts_are_left_to_pillow(box: tuple[float, float, float, float], side: int) -> None:
    assert vips.resize(ROCKET, side, side, box) is None
