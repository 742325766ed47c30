"""Every answer of every route carries the headers that keep a browser from taking it for something else."""

from typing import Any

import httpx
import pytest

from ingest.web.docs import DOCS_PATHS
from ingest.web.openapi import describe
from ingest.web.page import PAGE_PATHS
from proxy.settings import Settings
from tests.hostile.wire import exchange, request
from tests.http_client import http
from tests.service import Service

UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
CALLS = [path for path in describe(Settings(), variants=False)["paths"] if path not in (*PAGE_PATHS, *DOCS_PATHS)]
PATHS = [*CALLS, *PAGE_PATHS, *DOCS_PATHS]
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS", "TRACE")


def check(answer: httpx.Response, *, embeddable: bool = False) -> None:
    assert answer.status_code < 500
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == ("cross-origin" if embeddable else "same-origin")
    assert not headers.keys() & {"server", "set-cookie", "x-powered-by", "access-control-allow-origin"}
    assert len(headers.get_list("content-security-policy")) == 1


@pytest.mark.parametrize("path", [*PATHS, "/nowhere", "/images/", "/originals/x"])
@pytest.mark.parametrize("method", METHODS)
def test_every_route_in_every_method(live: Service, upload_id: str, method: str, path: str) -> None:
    known = upload_id if method in ("GET", "HEAD") else UNKNOWN
    with http.stream(method, live.url + path.replace("{uploadId}", known), timeout=30) as answer:
        check(answer)


@pytest.mark.parametrize(
    ("name", "headers", "status"),
    [
        ("small.png", {}, 200),
        ("small.png", {"Range": "bytes=0-9"}, 206),
        ("small.png", {"Range": "bytes=99999999-"}, 416),
        ("small.png", {"If-None-Match": "*"}, 304),
        ("small.jpeg", {}, 308),
        ("small.auto", {}, 200),
        ("huge.png", {}, 404),
    ],
)
def test_every_answer_about_a_variant_is_embeddable(
    live: Service, upload_id: str, name: str, headers: dict[str, str], status: int
) -> None:
    for _ in range(2):  # derived, then from memory
        answer = http.get(f"{live.url}/images/{upload_id}/{name}", headers=headers)

        assert answer.status_code == status
        check(answer, embeddable=True)


def test_a_refused_upload(live: Service) -> None:
    check(http.post(f"{live.url}/images/upload", files={"image": ("x.jpg", b"no picture")}))


def test_a_missing_key(tmp_path: Any) -> None:
    with Service(tmp_path, API_KEYS="key", RENDER_PROCESSES="1") as service:
        check(http.get(f"{service.url}/images"))


@pytest.mark.parametrize("role", ["proxy", "ingest"])
def test_each_role_alone(tmp_path: Any, role: str) -> None:
    with Service(tmp_path, "--role", role, RENDER_PROCESSES="1") as service:
        for path in ("/healthz", "/metrics", "/nowhere"):
            check(http.get(service.url + path))


def test_what_never_reaches_a_route(live: Service) -> None:
    for raw in (b"nonsense\r\n\r\n", request("GET", "/", f"X: {'x' * 40_000}")):
        answer = exchange(live.url, raw)
        check(httpx.Response(answer.statuses[0], headers=answer.headers))
