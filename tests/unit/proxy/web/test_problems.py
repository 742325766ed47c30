"""Errors as problem documents (RFC 9457)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from ingest.ingest_errors import TooLarge, UploadTimeout
from proxy.errors import Overloaded, ServiceError, StoreUnavailable, Unauthorized, Undecodable, UnknownUpload
from proxy.web.app import starlette_app
from proxy.web.problems import STATUS, problem
from tests.asgi import Answer, ask
from tests.unit.error_kinds import KINDS


def headers_of(response: Response) -> dict[str, str]:
    return dict(response.headers)


@asynccontextmanager
async def no_lifespan(_app: Starlette) -> AsyncIterator[None]:
    yield


async def raised(error: Exception) -> Answer:
    """The response of an app whose route raises `error`."""

    async def route(_request: Request) -> Response:
        raise error

    return await ask(starlette_app([Route("/", route)], no_lifespan), "/")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_becomes_its_status_with_five_members(kind: type[ServiceError]) -> None:
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
def test_problems_are_uncacheable_except_permanent_ones_on_request(kind: type[ServiceError]) -> None:
    assert problem(kind()).headers["cache-control"] == "no-store"

    short = STATUS[kind.code] in (404, 422)
    assert problem(kind(), cacheable=True).headers["cache-control"] == ("public, max-age=60" if short else "no-store")


def test_retry_after_is_set_from_the_error() -> None:
    assert headers_of(problem(StoreUnavailable()))["retry-after"] == "5"
    assert headers_of(problem(Overloaded(retry_after=9)))["retry-after"] == "9"
    assert headers_of(problem(Overloaded(retry_after=0)))["retry-after"] == "0"
    for error in (Undecodable(), UnknownUpload(), TooLarge(), UploadTimeout()):
        assert "retry-after" not in headers_of(problem(error))


def test_only_401_has_www_authenticate() -> None:
    assert headers_of(problem(Unauthorized()))["www-authenticate"] == 'Bearer realm="darkroom"'
    assert "www-authenticate" not in headers_of(problem(TooLarge()))


async def test_service_error_becomes_its_problem() -> None:
    answer = await raised(Undecodable("Broken."))

    assert answer.status == 422
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body)["detail"] == "Broken."


async def test_http_exception_becomes_a_problem_with_its_headers() -> None:
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


async def test_unexpected_error_reveals_no_details_and_is_logged_once() -> None:
    error = LookupError("the password is hunter2")

    with capture_logs() as logs:
        answer = await raised(error)  # which raises nothing, so the server has nothing to log

    assert answer.status == 500
    assert json.loads(answer.body)["code"] == "internal"
    assert b"hunter2" not in answer.body
    assert [(line["event"], line["exc_info"]) for line in logs] == [("unhandled error in request", error)]


async def test_unexpected_error_within_a_response_does_not_start_another() -> None:
    class Broken(Response):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await super().__call__(scope, receive, send)
            raise LookupError("odd")

    async def route(_request: Request) -> Response:
        return Broken("a piece")

    with capture_logs() as logs:
        answer = await ask(starlette_app([Route("/", route)], no_lifespan), "/")

    assert (answer.status, answer.body) == (200, b"a piece")
    assert [line["event"] for line in logs] == ["unhandled error in request"]
