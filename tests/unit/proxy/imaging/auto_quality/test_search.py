"""The quality search: its result against an exhaustive search, and its edge cases."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from proxy.imaging.auto_quality.search import MAX_ENCODES, QUALITIES, encode_with_search, find_lowest_quality
from proxy.imaging.auto_quality.ssimulacra2 import Reference
from proxy.imaging.pipeline import encode_target, render
from proxy.imaging.target import Measured
from proxy.model import Format
from tests.camera import camera_exif
from tests.photographs import photograph_bytes
from tests.unit.proxy.imaging.auto_quality.test_search_by_size import CountedEncodes
from tests.unit.proxy.imaging.auto_quality.test_ssimulacra2 import noisy
from tests.unit.proxy.imaging.auto_quality.wanted import LOSSY, at, found, sized, wanting
from tests.unit.proxy.imaging.reference import LIMITS, decoded, on_disk, target

pytestmark = pytest.mark.heavy


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
    image = noisy(image, 8)  # too many colours for lossless WebP

    file, measured = found(image, wanting(80, Format.WEBP))

    assert measured.quality == 85
    assert measured.score < 0
    assert file == at(image, wanting(80, Format.WEBP), 85)


@pytest.mark.parametrize("format", LOSSY)
def test_flat_image_gets_the_lowest_quality(format: Format) -> None:
    _, measured = found(Image.new("RGB", (128, 120), "#3060a0"), wanting(80, format))

    assert measured.quality == QUALITIES[0]
    assert measured.score > 80


def test_grey_stays_grey() -> None:
    file, measured = found(sized("camera.png"), wanting(80, Format.JPG))

    assert decoded(file).mode == "L"
    assert 80 <= measured.score < 83


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


def test_search_with_exif_keeps_the_exif() -> None:
    wanted = wanting(80, Format.JPG, (150, 150), keep_exif=True)
    exif = camera_exif().tobytes()

    file, _ = encode_with_search(sized("rocket.jpg", 150, 150), wanted, exif)

    assert decoded(file).getexif().tobytes() == exif


@pytest.mark.parametrize(("quality", "score"), [(0, 80), (101, 80), (85, float("nan")), (85, float("inf"))])
def test_invalid_measured_quality_raises_value_error(quality: int, score: float) -> None:
    with pytest.raises(ValueError):
        Measured(quality, score)
