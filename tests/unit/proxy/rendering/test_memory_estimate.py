"""What derivations are charged: never less than they take, and for what decides it."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.memory import DECODERS, LIBVIPS, ORIGINALS, at_random, compare
from proxy.imaging.header import Header
from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import decode
from proxy.model import Fit, Format
from proxy.rendering import memory_estimate
from proxy.rendering.memory_estimate import BASE, NUMPY, PILLOW, SEARCHED, decoded_size, estimate, untouched
from tests.conftest import reads
from tests.pictures import jpeg
from tests.unit.proxy.imaging.reference import on_disk, target

MB = 1 << 20
SMALL = [target(150, 150, Format.JPG)]


def megabytes(
    kind: str, width: int, height: int, *targets: int, format: Format = Format.JPG, by_vips: bool = False, **more: int
) -> float:
    header = Header(kind, width, height, more.get("coefficients", 0), interlaced=more.get("interlaced", 0) > 0)
    wanted = [target(side, side, format) for side in targets]
    return estimate(header, more.get("file_bytes", 0), wanted, by_vips=by_vips) / MB


MEASURED = [
    (name, decoder)
    for name in ORIGINALS
    for decoder in DECODERS
    if decoder == LIBVIPS or name.startswith(("PNG", "WebP"))  # libvips takes no JPEG
]
SAMPLE = [("JPEG 4:2:0", LIBVIPS), *(("PNG RGB", decoder) for decoder in DECODERS), ("WebP lossless", LIBVIPS)]


@pytest.mark.heavy
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("name", "decoder"), [pytest.param(*one, marks=() if one in SAMPLE else pytest.mark.slow) for one in MEASURED]
)
async def test_no_original_takes_more_than_it_is_charged(tmp_path: Path, name: str, decoder: str) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS[name](1700))

    charged, taken = await compare(path, [target(400, 400, Format.AVIF)], decoder)

    assert 2 * MB < taken < charged


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("kind", ["PNG RGB", "PNG RGBA"])
async def test_no_variant_takes_more_than_it_is_charged(tmp_path: Path, kind: str, format: Format) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS[kind](300))

    charged, taken = await compare(path, [target(1000, 1000, format)], LIBVIPS)

    assert 2 * MB < taken < charged


@pytest.mark.slow
@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("side", "format"), [(800, Format.JPG), (800, Format.WEBP), (800, Format.AVIF), (1200, Format.JPG)]
)
async def test_no_search_takes_more_than_it_is_charged(tmp_path: Path, format: Format, side: int) -> None:
    path = tmp_path / "original"
    path.write_bytes(ORIGINALS["PNG RGBA"](300))

    charged, taken = await compare(path, [replace(target(side, side, format), score=80.0)], LIBVIPS)

    assert 40 * MB < taken < charged


@reads("/proc/self/clear_refs")
@pytest.mark.parametrize(
    ("count", "side"), [pytest.param(4, 1000, marks=pytest.mark.slow), pytest.param(60, 3000, marks=pytest.mark.long)]
)
def test_the_kernel_refuses_no_sound_picture(tmp_path: Path, count: int, side: int) -> None:
    at_random(tmp_path / "original", count, side)


@pytest.mark.parametrize("by_vips", [True, False])
def test_every_kind_has_a_rate_and_costs_more_the_larger_it_is(by_vips: bool) -> None:
    for kind in PILLOW:
        small = megabytes(kind, 1000, 1000, 150, by_vips=by_vips)
        assert BASE / MB < small < megabytes(kind, 10_000, 10_000, 150, by_vips=by_vips)


def test_libvips_takes_no_kind_that_pillow_does_not() -> None:
    assert memory_estimate.LIBVIPS.keys() < PILLOW.keys()


def test_what_libvips_takes_in_bands_costs_a_fraction() -> None:
    for kind in ("png rgb", "png alpha", "webp lossy"):
        assert megabytes(kind, 10_000, 10_000, 150, by_vips=True) < megabytes(kind, 10_000, 10_000, 150) / 3


def test_what_libvips_must_have_whole_costs_its_pixels() -> None:
    bands = megabytes("png rgb", 10_000, 10_000, 150, by_vips=True)

    assert megabytes("png rgb", 10_000, 10_000, 150, by_vips=True, interlaced=1) == pytest.approx(bands + 300e6 / MB)
    assert megabytes("webp lossless", 10_000, 10_000, 150, by_vips=True) > 400e6 / MB


@pytest.mark.parametrize("kind", ["jpeg", "png grey16", "png alpha16", "webp animated"])
def test_what_libvips_does_not_take_costs_the_same_with_it(kind: str) -> None:
    sides = (4000, 3000, 150)

    assert megabytes(kind, *sides, by_vips=True) == megabytes(kind, *sides)


def test_a_search_costs_its_planes_and_no_more_of_a_large_variant_than_of_its_middle() -> None:
    def more(side: int) -> float:
        given = target(side, side, Format.JPG)
        searched = replace(given, score=80.0)
        picture = Header("jpeg", 2000, 2000)
        return estimate(picture, 0, [searched], by_vips=True) - estimate(picture, 0, [given], by_vips=True)

    assert more(800) == pytest.approx(NUMPY + SEARCHED * 800 * 800, rel=0.2)
    assert more(1600) == more(3200) < more(800)


def test_pillow_maps_canvases_for_webp_alone() -> None:
    assert untouched(Header("webp lossy", 1000, 1000)) == 8_000_000
    assert untouched(Header("png rgb", 1000, 1000)) == 0


def test_an_inspection_costs_what_decoding_takes() -> None:
    assert megabytes("png rgb", 10_000, 10_000) == pytest.approx(BASE / MB + 400e6 / MB, 0.12)


def test_a_jpeg_costs_what_it_is_scaled_to() -> None:
    assert megabytes("jpeg", 10_000, 10_000, 150) < 40
    assert megabytes("jpeg", 10_000, 10_000, 2400) > 100


def test_coefficients_are_kept_beside_the_pixels_but_not_beside_the_file() -> None:
    plain = megabytes("jpeg", 5000, 5000, 150)

    assert megabytes("jpeg", 5000, 5000, 150, coefficients=100 * MB) == pytest.approx(plain + 100)
    assert megabytes("jpeg", 5000, 5000, 150, coefficients=100 * MB, file_bytes=10 * MB) == pytest.approx(plain + 100)


def test_a_webps_file_is_held_twice() -> None:
    plain = megabytes("webp lossy", 5000, 5000, 150)

    assert megabytes("webp lossy", 5000, 5000, 150, file_bytes=10 * MB) == pytest.approx(plain + 20)


def test_the_heaviest_of_many_targets_counts() -> None:
    alone = megabytes("png rgb", 3000, 3000, 800, format=Format.AVIF)

    assert megabytes("png rgb", 3000, 3000, 150, 400, 800, format=Format.AVIF) == alone
    assert alone > megabytes("png rgb", 3000, 3000, 400, format=Format.AVIF)


def test_the_pixels_of_another_tier_are_still_there_while_the_next_is_decoded() -> None:
    alone = megabytes("png rgb", 3000, 3000, 1200)

    assert megabytes("png rgb", 3000, 3000, 800, 1200) == pytest.approx(alone + 36e6 / MB)


def test_a_picture_that_may_lie_on_its_side_costs_the_same_either_way() -> None:
    wide = target(1600, None, Format.AVIF, fit=Fit.INSIDE)

    costs = {estimate(Header("png rgb", *sides), 0, [wide], by_vips=False) for sides in ((4000, 500), (500, 4000))}

    assert len(costs) == 1


@given(width=st.integers(1, 1200), height=st.integers(1, 300), tier=st.sampled_from([100, 200, 800]))
@example(width=299, height=299, tier=100)
@example(width=300, height=300, tier=100)
@example(width=603, height=607, tier=100)
@example(width=1200, height=1201, tier=100)
def test_the_size_that_a_jpeg_is_decoded_at_is_known_beforehand(width: int, height: int, tier: int) -> None:
    with on_disk(jpeg(Image.new("L", (width, height)))) as path:
        pixels = decode(path, tier, Limits(1, 10_000)).pixels

    assert decoded_size(Header("jpeg grey", width, height), tier, by_vips=True) == pixels.size
