"""Job states and transitions."""

import pytest

from ingest.records import TRANSITIONS, JobStatus, VariantState


def test_job_statuses_are_the_documented_ones() -> None:
    assert [status.value for status in JobStatus] == ["pending", "processing", "complete", "failed"]


def test_states_of_a_variant_are_waiting_and_stored() -> None:
    assert [state.value for state in VariantState] == ["waiting", "stored"]


def test_transitions_are_complete() -> None:
    legal = {
        JobStatus.PENDING: {JobStatus.PROCESSING},
        JobStatus.PROCESSING: {JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETE, JobStatus.FAILED},
        JobStatus.COMPLETE: {JobStatus.PROCESSING},
        JobStatus.FAILED: {JobStatus.PROCESSING},
    }
    assert dict(TRANSITIONS) == legal


@pytest.mark.parametrize("status", JobStatus)
def test_only_processing_has_a_transition_to_itself(status: JobStatus) -> None:
    assert (status in TRANSITIONS[status]) == (status is JobStatus.PROCESSING)


@pytest.mark.parametrize("status", JobStatus)
def test_only_processing_leads_to_an_end(status: JobStatus) -> None:
    assert (status is JobStatus.PROCESSING) == any(move.has_ended for move in TRANSITIONS[status])


def test_complete_and_failed_have_ended() -> None:
    assert {status for status in JobStatus if status.has_ended} == {JobStatus.COMPLETE, JobStatus.FAILED}
