"""Warm-ups derive no sizes that only repeat the pixels of another."""

from ingest.records import JobStatus
from proxy.model import Fit, Format, Size, Sizes
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.jobs.warm_up_outcome import Outcome


def test_sizes_that_repeat_the_originals_pixels_are_not_derived() -> None:
    sizes = Sizes(*(Size(f"w{width}", width, None, Fit.INSIDE, warm=(Format.WEBP,)) for width in (320, 640, 1280)))

    outcome = Outcome(ScriptedVariantService(), upload=accepted(width=600, height=400), sizes=sizes).run()

    assert outcome.job == (JobStatus.COMPLETE, 100, None)
    assert sorted(outcome.variants) == ["w320.webp", "w640.webp"]
