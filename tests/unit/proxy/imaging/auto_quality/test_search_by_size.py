"""Which images are searched whole, in their middle, or not at all."""

import pytest
from PIL import Image

from proxy.imaging.auto_quality import search
from proxy.imaging.auto_quality.search import MAX_ENCODES, encode_with_search
from proxy.imaging.auto_quality.ssimulacra2 import MIN_SIDE, Reference
from proxy.imaging.encode import encode
from proxy.imaging.resize import MAX_WHOLE_PIXELS, MIDDLE_SIDE
from proxy.imaging.target import Target
from proxy.model import Format
from tests.unit.proxy.imaging.auto_quality.wanted import LOSSY, at, found, sized, wanting
from tests.unit.proxy.imaging.reference import decoded

pytestmark = pytest.mark.heavy


@pytest.mark.parametrize("format", LOSSY)
@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (MIN_SIDE - 1, 400)])
def test_image_too_small_to_measure_gets_the_given_quality(size: tuple[int, int], format: Format) -> None:
    image, wanted = sized("coffee.png", *size), wanting(80, format, size)

    assert encode_with_search(image.copy(), wanted, None) == (encode(image.copy(), wanted, None), None)


class CountedEncodes:
    """Replaces `encode`, and records the number of pixels of each call."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pixels: list[int] = []
        monkeypatch.setattr(search, "encode", self)

    def __call__(self, image: Image.Image, wanted: Target, exif: bytes | None) -> bytes:
        self.pixels.append(image.width * image.height)
        return encode(image, wanted, exif)


@pytest.mark.heavy
@pytest.mark.parametrize("size", [pytest.param((800, 800), marks=pytest.mark.slow), (6400, 100)])
def test_image_up_to_800x800_is_searched_whole(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    encodes = CountedEncodes(monkeypatch)

    found(sized("coffee.png", *size), wanting(80, Format.JPG, size))

    assert set(encodes.pixels) == {size[0] * size[1]}
    assert len(encodes.pixels) <= MAX_ENCODES


@pytest.mark.heavy
@pytest.mark.parametrize(
    "size",
    [
        (801, 800),
        pytest.param((16_000, 100), marks=pytest.mark.slow),
        pytest.param((2400, 2400), marks=pytest.mark.slow),
        pytest.param((3200, 300), marks=pytest.mark.slow),
        pytest.param((150, 9000), marks=pytest.mark.slow),
    ],
)
def test_larger_image_is_searched_in_its_middle_and_encoded_whole_once(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    encodes = CountedEncodes(monkeypatch)
    image, wanted = sized("coffee.png", *size), wanting(80, Format.JPG, size)

    file, measured = found(image, wanted)

    *parts, whole = encodes.pixels
    assert whole == size[0] * size[1]
    assert len(set(parts)) == 1
    assert 0.95 * MIDDLE_SIDE * MIDDLE_SIDE <= parts[0] <= MAX_WHOLE_PIXELS
    assert len(parts) <= MAX_ENCODES
    assert file == at(image, wanted, measured.quality)


@pytest.mark.heavy
@pytest.mark.parametrize("format", [Format.JPG, *(pytest.param(one, marks=pytest.mark.slow) for one in LOSSY[1:])])
def test_score_of_a_large_image_is_measured_in_the_whole_file(format: Format) -> None:
    size = (1000, 900)
    image, wanted = sized("coffee.png", *size), wanting(80, format, size)
    box = (176, 128, 176 + MIDDLE_SIDE, 128 + MIDDLE_SIDE)

    file, measured = found(image, wanted)

    assert measured.score == Reference(image.crop(box)).score(decoded(file).crop(box))
    assert measured.score == pytest.approx(80, abs=1.5)
