"""Errors as RFC 9457 problems."""

import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.errors import TooLarge, UploadTimeout
from proxy.errors import Overloaded, ServiceError, StoreUnavailable, Unauthorized, Undecodable, UnknownUpload
from proxy.web.app import EXCEPTION_HANDLERS
from proxy.web.problems import STATUS, problem
from tests.fakes import Answer, ask
from tests.unit.error_kinds import KINDS


def headers_of(response: Response) -> dict[str, str]:
    return dict(response.headers)


async def raised(error: Exception) -> Answer:
    """What an app answers whose route raises it."""

    async def route(_request: Request) -> Response:
        raise error

    app: Callable[..., Awaitable[None]] = Starlette(routes=[Route("/", route)], exception_handlers=EXCEPTION_HANDLERS)
    return await ask(app, "/")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_becomes_its_status_with_the_same_five_members(kind: type[ServiceError]) -> None:
    response = problem(kind("What happened."))

    assert response.status_code == STATUS[kind.code]
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert json.loads(response.body) == {
        "type": f"urn:darkroom:problem:{kind.code}",
        "title": kind.title,
        "status": STATUS[kind.code],
        "detail": "What happened.",
        "code": kind.code,
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_no_cache_keeps_one_unless_it_may_keep_what_will_not_change(kind: type[ServiceError]) -> None:
    assert problem(kind()).headers["cache-control"] == "no-store"

    short = STATUS[kind.code] in (404, 422)
    assert problem(kind(), cacheable=True).headers["cache-control"] == ("public, max-age=60" if short else "no-store")


def test_some_say_when_to_try_again() -> None:
    assert headers_of(problem(StoreUnavailable()))["retry-after"] == "5"
    assert headers_of(problem(Overloaded(retry_after=9)))["retry-after"] == "9"
    assert headers_of(problem(Overloaded(retry_after=0)))["retry-after"] == "0"
    for error in (Undecodable(), UnknownUpload(), TooLarge(), UploadTimeout()):
        assert "retry-after" not in headers_of(problem(error))


def test_only_a_missing_key_asks_for_one() -> None:
    assert headers_of(problem(Unauthorized()))["www-authenticate"] == 'Bearer realm="darkroom"'
    assert "www-authenticate" not in headers_of(problem(TooLarge()))


async def test_what_a_route_raises_by_name_becomes_its_problem() -> None:
    answer = await raised(Undecodable("Broken."))

    assert answer.status == 422
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body)["detail"] == "Broken."


async def test_what_the_router_raises_becomes_a_problem_with_its_headers() -> None:
    answer = await raised(HTTPException(405, headers={"Allow": "GET"}))

    assert answer.status == 405
    assert answer.headers["allow"] == "GET"
    assert json.loads(answer.body) == {
        "type": "urn:darkroom:problem:method_not_allowed",
        "title": "Method Not Allowed",
        "status": 405,
        "detail": "Method Not Allowed",
        "code": "method_not_allowed",
    }


@pytest.mark.heavy
async def test_a_defect_of_ours_tells_nothing_of_itself() -> None:
    messages = []

    async def route(_request: Request) -> Response:
        raise LookupError("the password is hunter2")

    async def send(message) -> None:
        messages.append(message)

    app = Starlette(routes=[Route("/", route)], exception_handlers=EXCEPTION_HANDLERS)
    scope = {"type": "http", "method": "GET", "path": "/", "raw_path": b"/", "headers": [], "query_string": b""}
    with pytest.raises(LookupError):  # Starlette answers, then lets the server know
        await app(scope, None, send)

    start, end = messages
    assert start["status"] == 500
    assert json.loads(end["body"])["code"] == "internal"
    assert b"hunter2" not in end["body"]
