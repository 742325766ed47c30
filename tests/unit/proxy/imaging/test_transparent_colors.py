"""The transparent colour of a PNG without alpha."""

import pytest

from tests.pictures import chunk
from tests.unit.proxy.imaging.reference import halves, picture, target

pytestmark = pytest.mark.usefixtures("decoder")

SMALL = target(150, 150)


def key(*samples: int) -> bytes:
    return chunk(b"tRNS", b"".join(sample.to_bytes(2, "big") for sample in samples))


def assert_right_half_alone_is_transparent(original: bytes, left: tuple[int, ...]) -> None:
    image = picture(original, SMALL).convert("RGBA")
    assert image.getpixel((30, 75)) == (*left, 255)
    assert image.getchannel("A").getpixel((120, 75)) == 0


def test_grey_key_is_transparent() -> None:
    assert_right_half_alone_is_transparent(halves(119, 255, 8, key(255)), (119, 119, 119))


def test_colour_key_is_transparent() -> None:
    assert_right_half_alone_is_transparent(halves((119, 0, 0), (0, 255, 7), 8, key(0, 255, 7)), (119, 0, 0))


@pytest.mark.parametrize(("keyed", "other"), [(1, 0), (0, 255)])
def test_1_bit_key_is_transparent(keyed: int, other: int) -> None:
    assert_right_half_alone_is_transparent(halves(int(not keyed), keyed, 1, key(keyed)), (other,) * 3)


@pytest.mark.parametrize(("depth", "left"), [(2, 85), (4, 17)])
def test_key_of_few_bits_is_transparent(depth: int, left: int) -> None:
    top = 2**depth - 1

    assert_right_half_alone_is_transparent(halves(1, top, depth, key(top)), (left,) * 3)


@pytest.mark.parametrize("keyed", [65535, 0x1234])
def test_16_bit_grey_key_is_transparent(keyed: int) -> None:
    assert_right_half_alone_is_transparent(halves(0x8080, keyed, 16, key(keyed)), (128, 128, 128))


def test_16_bit_colour_key_that_fits_8_bits_is_transparent() -> None:
    assert_right_half_alone_is_transparent(halves((0x8080, 0, 0), (0, 65535, 0), 16, key(0, 65535, 0)), (128, 0, 0))


def test_16_bit_colour_key_is_transparent() -> None:
    assert_right_half_alone_is_transparent(halves((0x8080, 0, 0), (0, 0x1234, 0), 16, key(0, 0x1234, 0)), (128, 0, 0))
