"""What derivations are charged: never less than they take, and for what decides it."""

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from benchmarks.memory import ORIGINALS, compare
from proxy.imaging.cost import BASE, RATES, decoded_size, estimate
from proxy.imaging.header import Header
from proxy.imaging.pipeline import decode
from proxy.imaging.probe import Limits
from proxy.model import Fit, Format
from tests.pictures import jpeg
from tests.unit.proxy.imaging.reference import on_disk, target

MB = 1 << 20
SMALL = [target(150, 150, Format.JPG)]


def megabytes(kind: str, width: int, height: int, *targets: int, format: Format = Format.JPG, **more: int) -> float:
    header = Header(kind, width, height, more.get("coefficients", 0))
    return estimate(header, more.get("file_bytes", 0), [target(side, side, format) for side in targets]) / MB


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize("name", ORIGINALS)
async def test_no_original_takes_more_than_it_is_charged(tmp_path: Path, name: str) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS[name](1700))

    charged, taken = await compare(path, [target(400, 400, Format.AVIF)])

    assert 2 * MB < taken < charged


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from Linux's /proc")
@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("kind", ["PNG RGB", "PNG RGBA"])
async def test_no_variant_takes_more_than_it_is_charged(tmp_path: Path, kind: str, format: Format) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS[kind](300))

    charged, taken = await compare(path, [target(1500, 1500, format)])

    assert 2 * MB < taken < charged


def test_every_kind_has_a_rate_and_costs_more_the_larger_it_is() -> None:
    for kind in RATES:
        small, large = megabytes(kind, 1000, 1000, 150), megabytes(kind, 10_000, 10_000, 150)
        assert BASE / MB < small < large


def test_an_inspection_costs_what_decoding_takes() -> None:
    assert megabytes("png rgb", 10_000, 10_000) == pytest.approx(BASE / MB + 400e6 / MB, 0.01)


def test_a_jpeg_costs_what_it_is_scaled_to() -> None:
    assert megabytes("jpeg", 10_000, 10_000, 150) < 40
    assert megabytes("jpeg", 10_000, 10_000, 2400) > 100


def test_coefficients_are_kept_beside_the_pixels_but_not_beside_the_file() -> None:
    plain = megabytes("jpeg", 5000, 5000, 150)

    assert megabytes("jpeg", 5000, 5000, 150, coefficients=100 * MB) == pytest.approx(plain + 100)
    assert megabytes("jpeg", 5000, 5000, 150, coefficients=100 * MB, file_bytes=10 * MB) == pytest.approx(plain + 100)


def test_a_webps_file_is_held_twice() -> None:
    plain = megabytes("webp", 5000, 5000, 150)

    assert megabytes("webp", 5000, 5000, 150, file_bytes=10 * MB) == pytest.approx(plain + 20)


def test_the_heaviest_of_many_targets_counts() -> None:
    alone = megabytes("png rgb", 3000, 3000, 800, format=Format.AVIF)

    assert megabytes("png rgb", 3000, 3000, 150, 400, 800, format=Format.AVIF) == alone
    assert alone > megabytes("png rgb", 3000, 3000, 400, format=Format.AVIF)


def test_the_pixels_of_another_tier_are_still_there_while_the_next_is_decoded() -> None:
    alone = megabytes("png rgb", 3000, 3000, 1200)

    assert megabytes("png rgb", 3000, 3000, 800, 1200) == pytest.approx(alone + 36e6 / MB)


def test_a_picture_that_may_lie_on_its_side_costs_the_same_either_way() -> None:
    wide = target(1600, None, Format.AVIF, fit=Fit.INSIDE)

    assert estimate(Header("png rgb", 4000, 500), 0, [wide]) == estimate(Header("png rgb", 500, 4000), 0, [wide])


SIDE = st.integers(1, 9000)


@settings(max_examples=40, deadline=None)
@given(width=SIDE, height=st.integers(1, 300), tier=st.sampled_from([800, 1600, 6400]))
@example(width=2399, height=2399, tier=800)
@example(width=2400, height=2400, tier=800)
@example(width=4803, height=4807, tier=800)
@example(width=9600, height=9601, tier=800)
def test_the_size_that_a_jpeg_is_decoded_at_is_known_beforehand(width: int, height: int, tier: int) -> None:
    with on_disk(jpeg(Image.new("L", (width, height)))) as path:
        pixels = decode(path, tier, Limits(1, 10_000)).pixels

    assert decoded_size(Header("jpeg grey", width, height), tier) == pixels.size
