"""Trouble with one object is recorded; an outage ends the work."""

import pytest

from ingest.failures import LISTED, Failures
from ingest.ingest_errors import CatalogUnavailable, CdnUnavailable
from proxy.errors import RenderFailed, ServiceError, StoreUnavailable, Undecodable, UnknownUpload


@pytest.mark.parametrize(
    "error",
    [StoreUnavailable("The key is refused."), Undecodable("Cut."), UnknownUpload("None."), RenderFailed("Died.")],
    ids=lambda error: type(error).__name__,
)
def test_answer_about_one_object_is_recorded(error: ServiceError) -> None:
    failures = Failures[str]()

    with failures.isolate("a"):
        raise error
    with failures.isolate("b"):
        pass

    assert failures.to_json() == {"failed": [{"uploadId": "a", "reason": str(error)}], "failedCount": 1}


@pytest.mark.parametrize(
    "error",
    [
        StoreUnavailable("Silent.", is_outage=True),
        CatalogUnavailable("Silent."),
        CdnUnavailable("Silent."),
        ValueError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_outages_and_defects_are_raised(error: Exception) -> None:
    failures = Failures[str]()

    with pytest.raises(type(error)) as raised, failures.isolate("a"):
        raise error

    assert raised.value is error
    assert failures.count == 0


def test_all_failures_are_counted_and_the_first_listed() -> None:
    failures = Failures[int]()

    for number in range(LISTED + 5):
        failures.add(number, "refused")

    assert failures.count == LISTED + 5
    assert failures.listed == [(number, "refused") for number in range(LISTED)]
