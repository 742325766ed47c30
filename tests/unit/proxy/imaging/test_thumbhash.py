"""ThumbHashes: equal to another library's where that works, otherwise checked by the format's definition."""

import pytest
import thumbhash as another
from PIL import Image

from proxy.imaging.thumbhash import thumbhash
from tests.photographs import COLOR_PHOTOGRAPHS, GREY_PHOTOGRAPHS, photograph
from tests.pictures import disc

STEP = 1 / 31.5 + 0.01  # the coarsest step of the averages in the header, as a fraction of full scale


def small(name: str, size: tuple[int, int]) -> Image.Image:
    return photograph(name).convert("RGBA").resize(size, Image.Resampling.BOX)


def another_hash(picture: Image.Image) -> bytes:
    return bytes(another.rgba_to_thumb_hash(*picture.size, list(picture.tobytes())))


def header(hashed: bytes) -> int:
    return int.from_bytes(hashed[:3], "little")


def has_alpha(hashed: bytes) -> bool:
    return bool(header(hashed) >> 23)


def average(hashed: bytes) -> tuple[float, ...]:
    """Red, green, blue and alpha, from 0 to 1, as the format defines them."""
    luminance = (header(hashed) & 63) / 63
    yellow_blue = (header(hashed) >> 6 & 63) / 31.5 - 1
    red_green = (header(hashed) >> 12 & 63) / 31.5 - 1
    alpha = (hashed[5] & 15) / 15 if has_alpha(hashed) else 1.0
    blue = luminance - 2 / 3 * yellow_blue
    red = (3 * luminance - blue + red_green) / 2
    return red, red - red_green, blue, alpha


@pytest.mark.heavy
@pytest.mark.parametrize("size", [(32, 32), (32, 21), (3, 32), (100, 75)])
@pytest.mark.parametrize("name", [*COLOR_PHOTOGRAPHS, *GREY_PHOTOGRAPHS])
def test_hash_of_an_opaque_image_equals_another_librarys(name: str, size: tuple[int, int]) -> None:
    picture = small(name, size)

    assert thumbhash(picture) == another_hash(picture)


@pytest.mark.parametrize("color", ["#000000", "#ffffff", "#123456", "#ff0000"])
def test_hash_of_a_flat_image_has_its_colour(color: str) -> None:
    hashed = thumbhash(Image.new("RGBA", (32, 32), color))

    assert average(hashed)[:3] == pytest.approx([value / 255 for value in bytes.fromhex(color[1:])], abs=2 * STEP)
    assert not has_alpha(hashed)


@pytest.mark.parametrize("alpha", [0, 64, 128, 254])
def test_hash_of_a_transparent_image_has_its_alpha(alpha: int) -> None:
    picture = Image.new("RGBA", (32, 32), (200, 100, 50, alpha))

    hashed = thumbhash(picture)

    assert has_alpha(hashed)
    assert average(hashed)[3] == pytest.approx(alpha / 255, abs=1 / 30 + 0.001)


def test_transparent_pixels_do_not_affect_the_average_colour() -> None:
    hashed = thumbhash(disc((200, 100, 50), 32))  # on transparent black

    red, green, blue, alpha = average(hashed)
    assert (red, green, blue) == pytest.approx((200 / 255, 100 / 255, 50 / 255), abs=2 * STEP)
    assert alpha == pytest.approx(3.14159 * 0.4**2, abs=1 / 15)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize(
    ("size", "landscape", "other_side"), [((32, 32), False, 1.0), ((32, 16), True, 0.5), ((16, 32), False, 0.5)]
)
def test_hash_has_the_aspect_ratio(
    size: tuple[int, int], landscape: bool, other_side: float, transparent: bool
) -> None:
    picture = small("coffee.png", size)
    if transparent:
        picture.putpixel((0, 0), (0, 0, 0, 0))

    hashed = thumbhash(picture)

    told = int.from_bytes(hashed[3:5], "little")
    most = 5 if transparent else 7
    assert bool(told >> 15) is landscape
    assert told & 7 == int(most * other_side + 0.5)


def test_one_transparent_pixel_changes_the_average_little() -> None:
    picture = small("coffee.png", (32, 32))
    opaque = average(thumbhash(picture))
    picture.putpixel((5, 5), (0, 0, 0, 0))

    assert average(thumbhash(picture))[:3] == pytest.approx(opaque[:3], abs=2 * STEP)


@pytest.mark.parametrize("size", [(1, 1), (1, 100), (100, 1), (100, 100)])
@pytest.mark.parametrize("alpha", [0, 255])
def test_smallest_and_largest_images_have_hashes(size: tuple[int, int], alpha: int) -> None:
    hashed = thumbhash(Image.new("RGBA", size, (10, 20, 30, alpha)))

    assert has_alpha(hashed) is (alpha == 0)
    assert 5 < len(hashed) <= 25
