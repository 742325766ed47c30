"""Every response of every route has the headers that stop browsers from interpreting it as something else."""

from pathlib import Path

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


def check(answer: httpx.Response, about: object = None, *, embeddable: bool = False) -> None:
    headers = answer.headers
    about = (about, answer.status_code, headers)
    assert answer.status_code < 500, about
    assert headers["x-content-type-options"] == "nosniff", about
    assert headers["content-security-policy"].startswith("default-src 'none'"), about
    assert headers["referrer-policy"] == "no-referrer", about
    assert headers["cross-origin-resource-policy"] == ("cross-origin" if embeddable else "same-origin"), about
    for name in ("access-control-allow-origin", "timing-allow-origin"):
        assert headers.get_list(name) == (["*"] if embeddable else []), about
    assert ("access-control-expose-headers" in headers) is embeddable, about
    assert not headers.keys() & {"server", "set-cookie", "x-powered-by", "access-control-allow-credentials"}, about
    assert len(headers.get_list("content-security-policy")) == 1, about


@pytest.mark.promise("C7")
@pytest.mark.parametrize("method", METHODS)
def test_every_route_and_method_has_the_security_headers(live: Service, upload_id: str, method: str) -> None:
    known = upload_id if method in ("GET", "HEAD") else UNKNOWN
    for path in (*PATHS, "/nowhere", "/images/", "/originals/x"):
        with http.stream(method, live.url + path.replace("{uploadId}", known)) as answer:
            check(answer, path, embeddable=path == "/sizes" and method in ("GET", "HEAD"))


@pytest.mark.promise("C7")
def test_variant_responses_are_embeddable(live: Service, upload_id: str) -> None:
    for name, headers, status in (
        ("small.png", {}, 200),
        ("small.png", {"Range": "bytes=0-9"}, 206),
        ("small.png", {"Range": "bytes=99999999-"}, 416),
        ("small.png", {"If-None-Match": "*"}, 304),
        ("small.jpeg", {}, 308),
        ("small.auto", {}, 200),
        ("huge.png", {}, 404),
    ):
        for _ in range(2):  # derived, then from memory
            answer = http.get(f"{live.url}/images/{upload_id}/{name}", headers=headers)

            assert answer.status_code == status, (name, headers)
            check(answer, (name, headers), embeddable=True)


def test_refused_upload_has_the_security_headers(live: Service) -> None:
    check(http.post(f"{live.url}/images/upload", files={"image": ("x.jpg", b"no picture")}))


@pytest.mark.slow
@pytest.mark.parametrize(("role", "keys"), [("proxy", ""), ("ingest", "key-key-key-key-key")])
def test_roles_with_and_without_keys_have_the_security_headers(tmp_path: Path, role: str, keys: str) -> None:
    with Service(tmp_path, "--role", role, RENDER_PROCESSES="1", API_KEYS=keys) as service:
        for path in ("/healthz", "/metrics", "/nowhere", "/images"):
            check(http.get(service.url + path), path)


def test_responses_before_routing_have_the_security_headers(live: Service) -> None:
    for raw in (b"nonsense\r\n\r\n", request("GET", "/", f"X: {'x' * 40_000}")):
        answer = exchange(live.url, raw)
        check(httpx.Response(answer.statuses[0], headers=answer.headers))
