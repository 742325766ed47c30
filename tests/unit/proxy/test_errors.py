"""Every error type has a code, a title, a status and a place in the docstring's tree."""

import re
from http import HTTPStatus

import pytest

from ingest import ingest_errors
from proxy import errors as proxy_errors
from proxy.errors import ServiceError
from proxy.web.problems import STATUS
from tests.unit.error_kinds import KINDS


def documented_parents() -> dict[str, str]:
    """The parent of each class in the trees of the modules' docstrings."""
    parents: dict[str, str] = {}
    branch: list[str] = []
    for line in f"{proxy_errors.__doc__}{ingest_errors.__doc__}".splitlines():
        if match := re.match(r"    ([│├└─ ]*)([A-Z]\w+)", line):
            depth = len(match[1]) // 4
            del branch[depth:]
            if branch:
                parents[match[2]] = branch[-1]
            branch.append(match[2])
    return parents


each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def test_tests_find_every_error_type() -> None:
    assert proxy_errors.DerivationTimeout in KINDS
    assert len(KINDS) >= 19


@each_kind
def test_every_error_type_has_a_status_other_than_500(kind: type[ServiceError]) -> None:
    assert kind.code in STATUS
    assert HTTPStatus(STATUS[kind.code]) >= 400
    assert STATUS[kind.code] != 500


@each_kind
def test_every_error_type_has_a_code_and_a_title(kind: type[ServiceError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", kind.code)
    assert kind.code != ServiceError.code
    assert "code" in vars(kind) or kind.code in ("not_found", "forbidden")
    assert vars(kind)["title"].strip()


@each_kind
def test_error_without_detail_shows_its_title(kind: type[ServiceError]) -> None:
    assert str(kind()) == kind.title
    assert str(kind("Say this.")) == "Say this."


@each_kind
def test_retryable_error_has_retry_after(kind: type[ServiceError]) -> None:
    assert kind("x", retry_after=7).retry_after == 7
    assert (kind().retry_after is not None) == (STATUS[kind.code] in (409, 503))
    assert kind.retryable == (STATUS[kind.code] in (408, 409, 503, 504))


def test_codes_and_titles_are_unique() -> None:
    codes = [kind.code for kind in KINDS if "code" in vars(kind)]
    titles = [kind.title for kind in KINDS]

    assert sorted(set(codes)) == sorted(codes)
    assert sorted(set(titles)) == sorted(titles)


def test_status_table_has_exactly_the_error_codes() -> None:
    assert set(STATUS) == {kind.code for kind in KINDS}


def test_docstring_trees_match_the_class_hierarchy() -> None:
    assert documented_parents() == {kind.__name__: kind.__bases__[0].__name__ for kind in KINDS}


def test_statuses_are_the_documented_ones() -> None:
    ours = {kind.__name__: STATUS[kind.code] for kind in KINDS}

    assert ours == {
        "NotFound": 404,
        "UnknownUpload": 404,
        "UnknownVariant": 404,
        "Refused": 400,
        "MissingImage": 400,
        "Malformed": 400,
        "UnknownField": 400,
        "InvalidField": 400,
        "UnsupportedFormat": 400,
        "TooLarge": 413,
        "TooSmall": 422,
        "TooManyPixels": 422,
        "TooHeavy": 422,
        "Undecodable": 422,
        "OriginalDamaged": 422,
        "Aborted": 400,
        "UploadTimeout": 408,
        "KeyReused": 422,
        "InProgress": 409,
        "Unauthorized": 401,
        "InvalidTicket": 401,
        "TicketExpired": 401,
        "Forbidden": 403,
        "InvalidToken": 403,
        "CrossSite": 403,
        "Misdirected": 421,
        "Unavailable": 503,
        "StoreUnavailable": 503,
        "CatalogUnavailable": 503,
        "InstallationMismatch": 503,
        "QueueUnavailable": 503,
        "CdnUnavailable": 503,
        "Overloaded": 503,
        "TooManyStreams": 503,
        "DerivationTimeout": 504,
        "DerivationPaused": 503,
        "RenderFailed": 503,
        "UploadChanged": 503,
    }
