"""Memory estimates: dependent on what determines them. Against the measured use: test_measured_memory.py."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from proxy.imaging.animation.animation_limits import MAX_ENCODED, MAX_FRAMES
from proxy.imaging.header import Header
from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import decode
from proxy.imaging.target import Target
from proxy.model import Fit, Format
from proxy.rendering import memory_estimate
from proxy.rendering.memory_estimate import (
    BASE,
    EFFECTS,
    ENCODED,
    FRAME,
    NUMPY,
    PILLOW,
    SEARCHED,
    decoded_size,
    estimate,
    untouched_bytes,
)
from tests.pictures import jpeg
from tests.unit.proxy.imaging.reference import on_disk, target

MB = 1 << 20
SMALL = [target(150, 150, Format.JPG)]


def megabytes(
    kind: str, width: int, height: int, *targets: int, format: Format = Format.JPG, by_vips: bool = False, **more: int
) -> float:
    header = Header(kind, width, height, more.get("coefficient_bytes", 0), interlaced=more.get("interlaced", 0) > 0)
    wanted = [target(side, side, format) for side in targets]
    return estimate(header, more.get("file_bytes", 0), wanted, by_vips=by_vips) / MB


@pytest.mark.parametrize("by_vips", [True, False])
def test_every_kind_has_a_rate_that_grows_with_its_size(by_vips: bool) -> None:
    for kind in PILLOW:
        small = megabytes(kind, 1000, 1000, 150, by_vips=by_vips)
        assert BASE / MB < small < megabytes(kind, 10_000, 10_000, 150, by_vips=by_vips)


def test_libvips_kinds_are_a_subset_of_pillows() -> None:
    assert memory_estimate.LIBVIPS.keys() < PILLOW.keys()


def test_kinds_decoded_in_bands_need_a_third_at_most() -> None:
    for kind in ("png rgb", "png alpha", "webp lossy"):
        assert megabytes(kind, 10_000, 10_000, 150, by_vips=True) < megabytes(kind, 10_000, 10_000, 150) / 3


def test_kinds_that_libvips_holds_whole_need_all_their_pixels() -> None:
    bands = megabytes("png rgb", 10_000, 10_000, 150, by_vips=True)

    assert megabytes("png rgb", 10_000, 10_000, 150, by_vips=True, interlaced=1) == pytest.approx(bands + 300e6 / MB)
    assert megabytes("webp lossless", 10_000, 10_000, 150, by_vips=True) > 400e6 / MB


@pytest.mark.parametrize("kind", ["jpeg", "png grey16", "png alpha16", "webp animated"])
def test_kinds_that_libvips_does_not_decode_need_the_same_with_libvips(kind: str) -> None:
    sides = (4000, 3000, 150)

    assert megabytes(kind, *sides, by_vips=True) == megabytes(kind, *sides)


def test_quality_search_needs_its_planes_and_only_the_middle_of_a_large_variant() -> None:
    def more(side: int) -> float:
        given = target(side, side, Format.JPG)
        searched = replace(given, score=80.0)
        picture = Header("jpeg", 2000, 2000)
        return estimate(picture, 0, [searched], by_vips=True) - estimate(picture, 0, [given], by_vips=True)

    assert more(800) == pytest.approx(NUMPY + SEARCHED * 800 * 800, rel=0.2)
    assert more(1600) == more(3200) < more(800)


def test_padded_variant_needs_the_memory_of_its_canvas() -> None:
    def of(fit: Fit) -> float:
        return estimate(Header("jpeg", 4000, 100), 0, [target(1600, 1600, fit=fit)], by_vips=True)

    assert of(Fit.PAD) > EFFECTS * 1600 * 1600 > 2 * of(Fit.INSIDE)


@pytest.mark.parametrize("effect", [{"blur": 9.0}, {"sharpen": 0.5}, {"fit": Fit.PAD}])
def test_blurred_sharpened_and_padded_variants_need_copies(effect: dict[str, Any]) -> None:
    def of(wanted: Target) -> int:
        return estimate(Header("jpeg", 2000, 2000), 0, [wanted], by_vips=True)

    plain = target(1600, 1600)

    assert of(replace(plain, **effect)) - of(plain) == (EFFECTS - 15) * 1600 * 1600


def test_animation_needs_its_frames_within_the_limits_alone() -> None:
    picture, wanted = Header("webp animated", 400, 300), target(400, 300, Format.WEBP)

    def of(frames: int, *, animated: bool = True) -> int:
        return estimate(picture, 0, [replace(wanted, animated=animated)], by_vips=True, frames=frames)

    still = of(50, animated=False)
    assert still == of(1) == of(MAX_ENCODED // (400 * 300) + 1) == of(MAX_FRAMES + 1)
    assert of(20) > still
    assert of(100) - of(20) == 80 * (ENCODED[0] * 400 * 300 + FRAME)


def test_untouched_bytes_are_counted_for_webp_only() -> None:
    assert untouched_bytes(Header("webp lossy", 1000, 1000)) == 8_000_000
    assert untouched_bytes(Header("png rgb", 1000, 1000)) == 0


def test_inspection_needs_the_memory_of_decoding() -> None:
    assert megabytes("png rgb", 10_000, 10_000) == pytest.approx(BASE / MB + 400e6 / MB, 0.12)


def test_jpeg_needs_memory_for_its_scaled_size() -> None:
    assert megabytes("jpeg", 10_000, 10_000, 150) < 40
    assert megabytes("jpeg", 10_000, 10_000, 2400) > 100


def test_coefficients_add_to_the_pixels_but_not_to_the_file() -> None:
    plain = megabytes("jpeg", 5000, 5000, 800)

    assert megabytes("jpeg", 5000, 5000, 800, coefficient_bytes=100 * MB) == pytest.approx(plain + 100)
    with_file = megabytes("jpeg", 5000, 5000, 800, coefficient_bytes=100 * MB, file_bytes=10 * MB)
    assert with_file == pytest.approx(plain + 100)


def test_webp_estimate_counts_the_file_twice() -> None:
    plain = megabytes("webp lossy", 5000, 5000, 150)

    assert megabytes("webp lossy", 5000, 5000, 150, file_bytes=10 * MB) == pytest.approx(plain + 20)


def test_estimate_of_many_targets_is_that_of_the_heaviest() -> None:
    alone = megabytes("png rgb", 3000, 3000, 800, format=Format.AVIF)

    assert megabytes("png rgb", 3000, 3000, 150, 400, 800, format=Format.AVIF) == alone
    assert alone > megabytes("png rgb", 3000, 3000, 400, format=Format.AVIF)


def test_pixels_of_the_previous_tier_are_added_to_the_next() -> None:
    alone = megabytes("png rgb", 3000, 3000, 1200)

    assert megabytes("png rgb", 3000, 3000, 800, 1200) == pytest.approx(alone + 36e6 / MB)


def test_estimate_is_the_same_for_either_orientation() -> None:
    wide = target(1600, None, Format.AVIF, fit=Fit.INSIDE)

    estimates = {estimate(Header("png rgb", *sides), 0, [wide], by_vips=False) for sides in ((4000, 500), (500, 4000))}

    assert len(estimates) == 1


@given(width=st.integers(1, 1200), height=st.integers(1, 300), tier=st.sampled_from([100, 200, 800]))
@example(width=299, height=299, tier=100)
@example(width=300, height=300, tier=100)
@example(width=603, height=607, tier=100)
@example(width=1200, height=1201, tier=100)
def test_decoded_size_of_a_jpeg_is_predicted_exactly(width: int, height: int, tier: int) -> None:
    with on_disk(jpeg(Image.new("L", (width, height)))) as path:
        pixels = decode(path, tier, Limits(1, 10_000)).pixels

    assert decoded_size(Header("jpeg grey", width, height), tier, by_vips=True) == pixels.size
