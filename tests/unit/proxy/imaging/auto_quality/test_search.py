"""The quality search: its result against an exhaustive search, and its edge cases."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from proxy.imaging.auto_quality import search
from proxy.imaging.auto_quality.search import MAX_ENCODES, QUALITIES, encode_with_search, find_lowest_quality
from proxy.imaging.auto_quality.ssimulacra2 import MIN_SIDE, Reference
from proxy.imaging.encode import encode, flatten
from proxy.imaging.pipeline import encode_target, render
from proxy.imaging.resize import MAX_WHOLE_PIXELS, MIDDLE_SIDE
from proxy.imaging.target import Measured, Target
from proxy.model import Format
from tests.camera import camera_exif
from tests.photographs import photograph, photograph_bytes
from tests.pictures import disc
from tests.unit.proxy.imaging.auto_quality.test_ssimulacra2 import noisy
from tests.unit.proxy.imaging.reference import LIMITS, decoded, on_disk, target

pytestmark = pytest.mark.heavy

LOSSY = [Format.JPG, Format.WEBP, Format.AVIF]


def wanting(score: float, format: Format, size: tuple[int, int] = (128, 120), **options: Any) -> Target:
    return replace(target(*size, format, **options), score=score)


def sized(name: str, width: int = 128, height: int = 120) -> Image.Image:
    return photograph(name).resize((width, height), Image.Resampling.LANCZOS)


def found(image: Image.Image, wanted: Target) -> tuple[bytes, Measured]:
    file, measured = encode_with_search(image.copy(), wanted, None)
    assert measured is not None
    return file, measured


def at(image: Image.Image, wanted: Target, quality: int) -> bytes:
    return encode(image.copy(), replace(wanted, quality=quality), None)


# The search itself


@given(
    points=st.lists(st.floats(-5, 5), min_size=len(QUALITIES), max_size=len(QUALITIES)),
    wanted=st.floats(-10, 10),
    first=st.integers(1, 100),
)
def test_lowest_quality_is_found_in_few_distinct_tries(points: list[float], wanted: float, first: int) -> None:
    scores = dict(zip(QUALITIES, sorted(points), strict=True))
    tried: Counter[int] = Counter()

    def score(quality: int) -> float:
        tried[quality] += 1
        return scores[quality]

    quality = find_lowest_quality(score, wanted, first)

    assert quality == next((each for each in QUALITIES if scores[each] >= wanted), QUALITIES[-1])
    assert tried[quality] == 1
    assert max(tried.values()) == 1
    assert len(tried) <= MAX_ENCODES


@pytest.mark.parametrize("needed", [70, 77, 84, 85, 86, 92])
def test_typical_scores_need_few_tries(needed: int) -> None:
    tried: list[int] = []

    def score(quality: int) -> float:
        tried.append(quality)
        return 80 + 0.5 * (quality - needed)

    assert find_lowest_quality(score, 80, first=85) == needed
    assert abs(tried[1] - needed) <= 1
    assert len(tried) <= 4


# Against every quality


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("name", "score", "format"),
    [
        ("chelsea.png", 80, Format.JPG),
        ("coffee.png", 75, Format.WEBP),
        pytest.param("camera.png", 85, Format.AVIF, marks=pytest.mark.slow),
        pytest.param("coffee.png", 80, Format.JPG, marks=pytest.mark.slow),
        pytest.param("camera.png", 85, Format.WEBP, marks=pytest.mark.slow),
        pytest.param("chelsea.png", 80, Format.AVIF, marks=pytest.mark.slow),
    ],
)
def test_search_finds_the_lowest_quality_that_reaches_the_score(name: str, score: float, format: Format) -> None:
    image, wanted = sized(name), wanting(score, format)
    reference = Reference(image)
    scores = {quality: reference.score(decoded(at(image, wanted, quality))) for quality in QUALITIES}

    file, measured = found(image, wanted)

    assert measured.quality == min(quality for quality in QUALITIES if scores[quality] >= score)
    assert measured.score == scores[measured.quality]
    assert file == at(image, wanted, measured.quality)


@pytest.mark.heavy
@pytest.mark.parametrize("format", LOSSY)
def test_given_quality_does_not_change_the_result(format: Format) -> None:
    image = sized("chelsea.png")

    files = {found(image, replace(wanting(80, format), quality=quality)) for quality in (1, 85, 100)}

    assert len(files) == 1


@pytest.mark.heavy
@pytest.mark.parametrize("format", LOSSY)
def test_higher_score_gives_larger_files(format: Format) -> None:
    image = sized("coffee.png")

    sizes = [len(found(image, wanting(score, format))[0]) for score in (60, 75, 88)]

    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("format", LOSSY)
def test_same_pixels_give_the_same_bytes(format: Format) -> None:
    image = sized("rocket.jpg")

    assert found(image, wanting(80, format)) == found(image, wanting(80, format))


@pytest.mark.parametrize("format", LOSSY)
def test_unreachable_score_gives_the_highest_quality_and_its_score(format: Format) -> None:
    image = noisy(sized("rocket.jpg"), 40)

    file, measured = found(image, wanting(95, format))

    assert measured.quality == QUALITIES[-1]
    assert measured.score < 95
    assert file == at(image, wanting(95, format), QUALITIES[-1])


def test_unreachable_score_stops_where_quality_gains_little() -> None:
    """Red on blue: WebP's chroma subsampling smears it at every quality."""
    image = Image.new("RGB", (160, 160), "#2030c0")
    for left in range(3, 160, 7):
        image.paste("#e02020", (left, 0, left + 2, 160))

    file, measured = found(image, wanting(80, Format.WEBP))

    assert measured.quality == 85
    assert measured.score < 0
    assert file == at(image, wanting(80, Format.WEBP), 85)


@pytest.mark.parametrize("format", LOSSY)
def test_flat_image_gets_the_lowest_quality(format: Format) -> None:
    _, measured = found(Image.new("RGB", (128, 120), "#3060a0"), wanting(80, format))

    assert measured.quality == QUALITIES[0]
    assert measured.score > 80


# Views


@pytest.mark.heavy
@pytest.mark.parametrize("format", [Format.WEBP, Format.AVIF])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_scored_over_black_and_over_white(mode: str, format: Format) -> None:
    image = sized("coffee.png", 160, 160)
    image.putalpha(disc((0, 0, 0), 160).getchannel("A"))
    image = image.convert(mode)

    file, measured = found(image, wanting(80, format))

    over = {
        color: Reference(flatten(image.convert("RGBA"), color)).score(flatten(decoded(file).convert("RGBA"), color))
        for color in ("#000000", "#ffffff")
    }
    assert measured.score == min(over.values()) >= 80
    assert decoded(file).mode == "RGBA"


@pytest.mark.parametrize("format", [Format.WEBP, Format.AVIF])
def test_colours_of_transparent_pixels_are_not_scored(format: Format) -> None:
    shape = disc((0, 0, 0), 160).getchannel("A")
    plain, noise = Image.new("RGB", shape.size, "#808080"), noisy(Image.new("RGB", shape.size, "#808080"), 120)
    plain.putalpha(shape)
    hidden = Image.composite(plain.convert("RGB"), noise, shape.point([0] + [255] * 255))
    hidden.putalpha(shape)

    assert found(hidden, wanting(80, format)) == found(plain, wanting(80, format))


def test_transparency_in_jpeg_is_scored_over_its_background() -> None:
    image = sized("coffee.png", 160, 160)
    image.putalpha(disc((0, 0, 0), 160).getchannel("A"))
    wanted = wanting(80, Format.JPG, background="#204060")

    file, measured = found(image, wanted)

    assert measured.score == Reference(flatten(image, "#204060")).score(decoded(file))
    assert file == at(image, wanted, measured.quality)


@pytest.mark.parametrize("format", LOSSY)
def test_fully_transparent_image_has_a_quality(format: Format) -> None:
    _, measured = found(Image.new("RGBA", (120, 120)), wanting(80, format))

    assert measured.quality == QUALITIES[0]


def test_grey_stays_grey() -> None:
    file, measured = found(sized("camera.png"), wanting(80, Format.JPG))

    assert decoded(file).mode == "L"
    assert 80 <= measured.score < 83


# Small and large


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


# In the pipeline


@pytest.mark.parametrize("format", Format)
def test_target_without_a_score_is_not_searched(format: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    encodes = CountedEncodes(monkeypatch)
    image = sized("coffee.png")

    assert encode_target(image.copy(), target(128, 120, format), None)[1] is None
    assert encodes.pixels == []


@pytest.mark.heavy
def test_rendering_reports_the_measured_quality() -> None:
    wanted = [wanting(80, format, (150, 150)) for format in LOSSY] + [target(150, 150, Format.PNG), target(80, 80)]

    with on_disk(photograph_bytes("chelsea.png")) as path:
        files = {file.index: file for file in render(path, wanted, LIMITS)}

    for index in range(3):
        measured = files[index].measured
        assert measured is not None
        assert 80 <= measured.score < 83
        assert measured.quality in QUALITIES
    assert (files[3].measured, files[4].measured) == (None, None)


def test_search_keeps_exif_if_asked() -> None:
    wanted = wanting(80, Format.JPG, (150, 150), keep_exif=True)
    exif = camera_exif().tobytes()

    file, _ = encode_with_search(sized("rocket.jpg", 150, 150), wanted, exif)

    assert decoded(file).getexif().tobytes() == exif


@pytest.mark.parametrize(("quality", "score"), [(0, 80), (101, 80), (85, float("nan")), (85, float("inf"))])
def test_invalid_measured_quality_raises_value_error(quality: int, score: float) -> None:
    with pytest.raises(ValueError):
        Measured(quality, score)
