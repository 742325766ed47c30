"""The states of a job and their legal moves."""

import pytest

from ingest.records import TRANSITIONS, JobStatus, VariantState


def test_statuses_are_spelled_as_in_the_contract() -> None:
    assert [status.value for status in JobStatus] == ["pending", "processing", "complete", "failed"]


def test_states_of_a_variant_are_waiting_and_stored() -> None:
    assert [state.value for state in VariantState] == ["waiting", "stored"]


def test_every_status_has_its_moves_and_these_are_all() -> None:
    legal = {
        JobStatus.PENDING: {JobStatus.PROCESSING},
        JobStatus.PROCESSING: {JobStatus.PENDING, JobStatus.PROCESSING, JobStatus.COMPLETE, JobStatus.FAILED},
        JobStatus.COMPLETE: {JobStatus.PROCESSING},
        JobStatus.FAILED: {JobStatus.PROCESSING},
    }
    assert dict(TRANSITIONS) == legal


@pytest.mark.parametrize("status", JobStatus)
def test_only_a_job_in_processing_moves_to_itself_when_it_is_taken_over(status: JobStatus) -> None:
    assert (status in TRANSITIONS[status]) == (status is JobStatus.PROCESSING)


@pytest.mark.parametrize("status", JobStatus)
def test_no_way_leads_to_an_end_but_through_processing(status: JobStatus) -> None:
    assert (status is JobStatus.PROCESSING) == any(move.has_ended for move in TRANSITIONS[status])


def test_complete_and_failed_are_ends() -> None:
    assert {status for status in JobStatus if status.has_ended} == {JobStatus.COMPLETE, JobStatus.FAILED}
