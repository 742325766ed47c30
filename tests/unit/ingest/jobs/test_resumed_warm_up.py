"""Warm-ups of jobs that another version or other settings began."""

from dataclasses import replace

import pytest

from ingest.jobs.warm_up import waiting_variants
from ingest.records import JobStatus, VariantState
from proxy.errors import (
    Undecodable,
)
from proxy.model import Fit, Format, Size, Sizes
from tests.unit.ingest.examples import SIZES, accepted
from tests.unit.ingest.fakes import ScriptedVariantService
from tests.unit.ingest.jobs.warm_up_outcome import OPAQUE, STANDARD, Outcome


def test_time_is_recorded_in_milliseconds() -> None:
    outcome = Outcome(ScriptedVariantService()).run()

    assert outcome.milliseconds == [250.0] * len(STANDARD)
    assert outcome.repository.recorded == [12, 25, 37, 50, 62, 75, 87, 100]


@pytest.mark.parametrize("force", [False, True])
def test_warm_up_without_standard_variants_completes(force: bool) -> None:
    outcome = Outcome(ScriptedVariantService(), sizes=Sizes(Size("tiny", 24, 24, Fit.COVER, warm=())))

    outcome.run(force=force)

    assert outcome.job == (JobStatus.COMPLETE, 100, None)
    assert outcome.variants == {}
    assert outcome.variant_service.stored == set()


class TestJobOfAnotherVersionOrOtherSettings:
    """Its row lists every variant. The JPEGs and the first PNG are stored; two thirds are recorded as done."""

    STORED = (*(variant for variant in STANDARD if variant.format is Format.JPG), STANDARD[1])

    def outcome(self, *script: Exception, sizes: Sizes = SIZES) -> Outcome:
        upload = accepted(format="png", alpha=False)
        variants = waiting_variants(upload.upload_id, STANDARD)
        for number, variant in enumerate(self.STORED):
            known = variants[variant.name]
            variants[variant.name] = replace(known, state=VariantState.STORED, bytes=1000 + number, milliseconds=3.5)
        outcome = Outcome(
            ScriptedVariantService(*script, after=3), upload=replace(upload, variants=variants), sizes=sizes
        )
        outcome.variant_service.stored = set(self.STORED)
        outcome.repository.progress[upload.upload_id] = 66
        return outcome

    def test_resumed_job_derives_standard_variants_and_keeps_stored_ones(self) -> None:
        outcome = self.outcome().run()

        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert outcome.variant_service.stored == {*OPAQUE, STANDARD[1]}
        assert set(outcome.variants) == {*(variant.name for variant in OPAQUE), "tiny.png"}
        assert {known.state for known in outcome.variants.values()} == {VariantState.STORED}
        assert outcome.repository.recorded == [66, 66, 66, 83, 100]

    def test_resumed_job_that_fails_removes_all_its_variants(self) -> None:
        outcome = self.outcome(Undecodable("Export it again.")).run()

        assert outcome.job == (JobStatus.FAILED, 0, "Export it again.")
        assert set(outcome.variant_service.deleted) == {*OPAQUE[:3], *self.STORED}
        assert set(outcome.variants) == {variant.name for variant in OPAQUE}
        assert {known.state for known in outcome.variants.values()} == {VariantState.WAITING}

    def test_repeated_job_that_fails_removes_only_its_own_variants(self) -> None:
        outcome = self.outcome(Undecodable("Export it again."))
        outcome.repository.status[outcome.upload.upload_id] = JobStatus.COMPLETE

        outcome.run(force=True)

        assert outcome.variant_service.deleted == [OPAQUE[1], OPAQUE[2]]
        stored = {name for name, known in outcome.variants.items() if known.state is VariantState.STORED}
        assert stored == {variant.name for variant in self.STORED}
        assert set(outcome.variants) == {*(variant.name for variant in OPAQUE), "tiny.png"}

    def test_variants_of_a_removed_size_are_forgotten(self) -> None:
        outcome = self.outcome(sizes=Sizes(SIZES["small"])).run()

        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert set(outcome.variants) == {"small.jpg", "small.webp", "small.avif"}

    def test_job_completes_if_no_variant_is_standard_any_more(self) -> None:
        outcome = self.outcome(sizes=Sizes(*(replace(size, warm=()) for size in SIZES.values()))).run()

        assert outcome.job == (JobStatus.COMPLETE, 100, None)
        assert set(outcome.variants) == {variant.name for variant in self.STORED}
        assert outcome.variant_service.deleted == []
