"""The geometry of targets: crops, sizes and decode tiers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging.resize import decode_size, decode_tier, place
from proxy.model import Fit

sides = st.integers(100, 10_000)
box_sides = st.integers(1, 4_000)


@pytest.mark.parametrize(
    ("source", "box"),
    [
        ((600, 400), (100, 0, 500, 400)),
        ((400, 600), (0, 100, 400, 500)),
        ((400, 400), (0, 0, 400, 400)),
        ((401, 400), (0.5, 0, 400.5, 400)),
        ((100, 100), (0, 0, 100, 100)),
    ],
)
def test_cover_takes_the_middle(source: tuple[int, int], box: tuple[float, ...]) -> None:
    placement = place(source, 150, 150, Fit.COVER)

    assert (placement.width, placement.height) == (150, 150)
    assert placement.box == pytest.approx(box)


def test_cover_of_an_oblong_box_takes_the_middle() -> None:
    assert place((600, 400), 300, 100, Fit.COVER).box == pytest.approx((0, 100, 600, 300))
    assert place((600, 400), 100, 300, Fit.COVER).box == pytest.approx((300 - 200 / 3, 0, 300 + 200 / 3, 400))


@given(source=st.tuples(sides, sides), box=st.tuples(box_sides, box_sides))
def test_cover_is_exact_centred_undistorted_and_maximal(source: tuple[int, int], box: tuple[int, int]) -> None:
    placement = place(source, *box, Fit.COVER)
    left, top, right, bottom = placement.box

    assert (placement.width, placement.height) == box
    assert left >= 0
    assert top >= 0
    assert right <= source[0]
    assert bottom <= source[1]
    assert (left + right, top + bottom) == pytest.approx(source)
    assert (right - left) * box[1] == pytest.approx((bottom - top) * box[0])
    assert right - left == pytest.approx(source[0]) or bottom - top == pytest.approx(source[1])


@pytest.mark.parametrize(
    ("source", "width", "height", "expected"),
    [
        ((600, 400), 300, 300, (300, 200)),
        ((400, 600), 300, 300, (200, 300)),
        ((600, 400), 150, None, (150, 100)),
        ((600, 400), None, 100, (150, 100)),
        ((400, 600), 100, None, (100, 150)),
        ((600, 400), 300, 50, (75, 50)),
        ((601, 400), 300, None, (300, 200)),
        ((600, 400), None, None, (600, 400)),
    ],
)
def test_inside_fits_the_given_sides(
    source: tuple[int, int], width: int | None, height: int | None, expected: tuple[int, int]
) -> None:
    placement = place(source, width, height, Fit.INSIDE)

    assert (placement.width, placement.height) == expected
    assert placement.box == (0, 0, *source)


@pytest.mark.parametrize(("width", "height"), [(800, 800), (601, None), (None, 401), (10_000, 400)])
def test_inside_never_enlarges(width: int | None, height: int | None) -> None:
    placement = place((600, 400), width, height, Fit.INSIDE)

    assert (placement.width, placement.height) == (600, 400)


def test_thinnest_image_keeps_one_pixel() -> None:
    placement = place((10_000, 100), 20, None, Fit.INSIDE)

    assert (placement.width, placement.height) == (20, 1)


@given(source=st.tuples(sides, sides), box=st.tuples(box_sides, box_sides), enlarge=st.booleans())
def test_pad_has_its_exact_sides_and_the_whole_undistorted_image(
    source: tuple[int, int], box: tuple[int, int], enlarge: bool
) -> None:
    placement = place(source, *box, Fit.PAD, enlarge=enlarge)

    assert (placement.width, placement.height) == box
    assert placement.box == (0, 0, *source)
    inside = place(source, *box, Fit.INSIDE).scaled
    if inside == source and enlarge:  # one side touches, the other one follows within a pixel
        scale = min(box[0] / source[0], box[1] / source[1])
        assert placement.scaled == pytest.approx((source[0] * scale, source[1] * scale), abs=1)
    else:
        assert placement.scaled == inside


@given(source=st.tuples(sides, sides), box=st.tuples(box_sides, box_sides))
def test_cover_without_enlarge_keeps_the_aspect_ratio_and_the_pixels(
    source: tuple[int, int], box: tuple[int, int]
) -> None:
    placement, enlarged = place(source, *box, Fit.COVER, enlarge=False), place(source, *box, Fit.COVER)

    if source[0] >= box[0] and source[1] >= box[1]:
        assert placement == enlarged
        return
    left, top, right, bottom = placement.box
    assert all(isinstance(side, int) for side in placement.box)
    assert (right - left, bottom - top) == (placement.width, placement.height) == placement.scaled
    assert 0 <= left <= right <= source[0]
    assert 0 <= top <= bottom <= source[1]
    assert placement.box == pytest.approx(enlarged.box, abs=1)


@pytest.mark.parametrize(
    ("box", "fit", "sides", "scaled"),
    [
        ((400, 300), Fit.COVER, (133, 100), (133, 100)),
        ((1200, 100), Fit.COVER, (200, 17), (200, 17)),
        ((150, 100), Fit.COVER, (150, 100), (150, 100)),
        ((400, 300), Fit.PAD, (400, 300), (200, 100)),
        ((100, 300), Fit.PAD, (100, 300), (100, 50)),
    ],
)
def test_small_source_is_not_enlarged(
    box: tuple[int, int], fit: Fit, sides: tuple[int, int], scaled: tuple[int, int]
) -> None:
    placement = place((200, 100), *box, fit, enlarge=False)

    assert (placement.width, placement.height) == sides
    assert placement.scaled == scaled


@pytest.mark.parametrize(
    ("width", "height", "tier"),
    [
        (150, 150, 800),
        (800, 800, 800),
        (801, 100, 1600),
        (100, 801, 1600),
        (1600, 1600, 1600),
        (2400, 2400, 3200),
        (None, 400, 800),
        (1601, None, 3200),
        (None, None, 800),
    ],
)
def test_decode_tier_doubles_from_800(width: int | None, height: int | None, tier: int) -> None:
    assert decode_tier(width, height) == tier


@pytest.mark.parametrize(("side", "tier"), [(150, 400), (400, 400), (401, 800), (801, 1600)])
def test_decode_tier_of_cheaply_scaled_originals_begins_at_400(side: int, tier: int) -> None:
    assert decode_tier(side, None, scaled_cheaply=True) == tier


@given(source=st.tuples(sides, sides), tier=st.sampled_from([400, 800, 1600, 3200]))
def test_decode_size_keeps_a_margin_and_never_enlarges(source: tuple[int, int], tier: int) -> None:
    width, height = decode_size(source, tier)

    assert width <= source[0]
    assert height <= source[1]
    assert min(width, height) >= min(*source, int(1.25 * tier)) - 1  # rounded down


def test_decode_size_is_as_small_as_the_margin_allows() -> None:
    assert decode_size((4000, 3000), 400) == (800, 600)
    assert decode_size((4000, 3000), 800) == (1333, 1000)
    assert decode_size((3000, 4000), 1600) == (2000, 2666)
    assert decode_size((1000, 900), 800) == (1000, 900)


@pytest.mark.parametrize(
    ("around", "box"),
    [
        ((0.5, 0.5), (50, 0, 150, 100)),
        ((0.4, 0.9), (30, 0, 130, 100)),
        ((0.0, 0.0), (0, 0, 100, 100)),
        ((0.9, 0.5), (100, 0, 200, 100)),
        ((1.0, 1.0), (100, 0, 200, 100)),
    ],
)
def test_cover_is_cropped_around_a_point_within_the_source(
    around: tuple[float, float], box: tuple[int, int, int, int]
) -> None:
    assert place((200, 100), 50, 50, Fit.COVER, around=around).box == pytest.approx(box)
    assert place((200, 100), 300, 300, Fit.COVER, enlarge=False, around=around).box == box
    turned = (box[1], box[0], box[3], box[2])
    assert place((100, 200), 50, 50, Fit.COVER, around=around[::-1]).box == pytest.approx(turned)


@given(source=st.tuples(sides, sides), box=st.tuples(sides, sides), enlarge=st.booleans())
def test_crop_around_a_point_has_the_size_of_the_crop_around_the_centre(
    source: tuple[int, int], box: tuple[int, int], enlarge: bool
) -> None:
    centre = place(source, *box, Fit.COVER, enlarge=enlarge)
    left, top, right, bottom = place(source, *box, Fit.COVER, enlarge=enlarge, around=(0.1, 0.97)).box

    assert left >= 0
    assert top >= 0
    assert right <= source[0] + 1e-6
    assert bottom <= source[1] + 1e-6
    assert (right - left, bottom - top) == pytest.approx((centre.box[2] - centre.box[0], centre.box[3] - centre.box[1]))
