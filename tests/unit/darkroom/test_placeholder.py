"""A ThumbHash becomes a picture that any PNG decoder reads, and that looks like the one it was made of."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from darkroom.placeholder import data_url
from tests.photographs import photograph
from tests.thumbhashes import opaque, transparent

STEP = 5  # levels: luminance has 64 steps, the two colour differences as many for twice the range


def painted(thumbhash: str) -> Image.Image:
    url = data_url(thumbhash)
    assert url is not None
    head, _, body = url.partition(",")
    assert head == "data:image/png;base64"
    image = Image.open(BytesIO(b64decode(body, validate=True)))
    image.load()
    assert (image.format, image.mode) == ("PNG", "RGB")
    return image


def distance(one: Image.Image, other: Image.Image) -> float:
    """Levels, root mean square."""
    samples: list[NDArray[np.float64]] = [np.asarray(image.convert("RGB"), np.float64) for image in (one, other)]
    return float(np.sqrt(np.mean((samples[0] - samples[1]) ** 2)))


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "coffee.png", "chelsea.png", "camera.png"])
def test_it_looks_like_the_picture_and_not_like_one_turned_or_mirrored(name: str) -> None:
    picture = photograph(name).convert("RGB")
    image = painted(opaque(picture))

    small = picture.resize(image.size, Image.Resampling.BOX)
    turned = [image.transpose(way) for way in (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_LEFT_RIGHT)]
    assert distance(image, small) < 0.6 * min(distance(one, small) for one in turned)


@pytest.mark.parametrize("frequency", [(1, 0), (0, 1), (2, 0), (0, 3), (1, 1), (2, 1)])
def test_a_wave_of_light_is_that_wave(frequency: tuple[int, int]) -> None:
    """Like nothing else, though the format knows no zero: all others are there a little, too."""

    def wave(side: int) -> NDArray[np.float64]:
        across, down = (np.cos(np.pi * number * (np.arange(side) + 0.5) / side) for number in frequency)
        return 128 + 90 * np.outer(down, across)

    image = painted(opaque(Image.fromarray(wave(32).round().astype(np.uint8), "L").convert("RGB")))

    seen = np.asarray(image.convert("L"), np.float64)
    assert np.corrcoef(seen.ravel(), wave(8).ravel())[0, 1] > 0.9


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (122, 107, 92), (200, 30, 30), (20, 60, 220)])
def test_one_colour_stays_that_colour(color: tuple[int, int, int]) -> None:
    pixels = np.asarray(painted(opaque(Image.new("RGB", (32, 20), color))), np.int64)

    assert np.abs(pixels - np.array(color)).max() <= STEP


@pytest.mark.parametrize(
    ("sides", "expected"),
    [((32, 32), (8, 8)), ((32, 16), (8, 5)), ((16, 32), (5, 8)), ((32, 1), (8, 1)), ((1, 32), (1, 8))],
)
def test_it_has_about_the_shape_of_the_picture(sides: tuple[int, int], expected: tuple[int, int]) -> None:
    assert painted(opaque(photograph("astronaut.png").resize(sides))).size == expected


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "retina.jpg", "chelsea.png"])
def test_it_is_small(name: str) -> None:
    assert len(data_url(opaque(photograph(name))) or "") < 400


def test_a_transparent_one_is_not_painted() -> None:
    assert data_url(transparent()) is None


@pytest.mark.parametrize("thumbhash", ["", "AAAA", "%%%%", "YJqGP"])
def test_what_is_no_hash_is_refused(thumbhash: str) -> None:
    with pytest.raises(ValueError):
        data_url(thumbhash)


def test_one_that_was_cut_is_painted_as_far_as_it_goes() -> None:
    whole = opaque(photograph("astronaut.png"))

    assert painted(whole[:8]).size == painted(whole).size
