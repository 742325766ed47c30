"""Warm-ups derive no sizes that only repeat the pixels of another."""

import pytest

from ingest.offered_sizes import standard_variants
from ingest.records import JobStatus
from proxy.model import Fit, Format, Size, Sizes, Visibility
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.jobs.warm_up_outcome import Outcome


def test_sizes_that_repeat_the_originals_pixels_are_not_derived() -> None:
    sizes = Sizes(*(Size(f"w{width}", width, None, Fit.INSIDE, warm=(Format.WEBP,)) for width in (320, 640, 1280)))

    outcome = Outcome(ScriptedVariantService(), upload=accepted(width=600, height=400), sizes=sizes).run()

    assert outcome.job == (JobStatus.COMPLETE, 100, None)
    assert sorted(outcome.variants) == ["w320.webp", "w640.webp"]


@pytest.mark.parametrize(
    ("warm", "alpha", "formats"),
    [
        (((), (Format.WEBP,), (Format.AVIF, Format.WEBP)), False, ["webp", "avif"]),
        (((Format.PNG,), None, ()), False, ["jpg", "png", "webp", "avif"]),
        (((Format.JPG,), None), True, ["jpg", "png", "webp", "avif"]),
        ((None, ()), True, ["png", "webp", "avif"]),
        (((), ()), None, []),
    ],
)
def test_offered_size_is_warmed_in_the_formats_of_its_members(
    warm: tuple[tuple[Format, ...] | None, ...], alpha: bool | None, formats: list[str]
) -> None:
    repeating = [Size(f"s{n}", 640 + n, None, Fit.INSIDE, warm=each) for n, each in enumerate(warm)]
    sizes = Sizes(Size("tile", 100, 100, Fit.COVER, warm=(Format.JPG,)), *repeating)

    standard = standard_variants(sizes, 600, 400, alpha, Visibility.PUBLIC, animated=False)

    assert [variant.name for variant in standard] == ["tile.jpg", *(f"s0.{format}" for format in formats)]


def test_size_of_other_formats_is_no_repetition() -> None:
    sizes = Sizes(
        Size("some", 640, None, Fit.INSIDE, formats=(Format.PNG, Format.WEBP)), Size("all", 900, None, Fit.INSIDE)
    )

    standard = standard_variants(sizes, 600, 400, False, Visibility.PUBLIC, animated=False)

    assert [variant.name for variant in standard] == ["some.png", "some.webp", "all.jpg", "all.webp", "all.avif"]


def test_avif_of_an_animation_in_an_animated_size_is_not_derived() -> None:
    sizes = Sizes(Size("clip", 100, None, Fit.INSIDE, animated=True), Size("still", 200, None, Fit.INSIDE))

    def standard(*, animated: bool) -> list[str]:
        found = standard_variants(sizes, 600, 400, False, Visibility.PUBLIC, animated=animated)
        return [variant.name for variant in found]

    every = ["clip.jpg", "clip.webp", "clip.avif", "still.jpg", "still.webp", "still.avif"]
    assert standard(animated=False) == every
    assert standard(animated=True) == [name for name in every if name != "clip.avif"]
