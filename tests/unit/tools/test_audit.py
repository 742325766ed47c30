"""The audit, against a stand-in for OSV."""

import json
import platform
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from typing import Any

import pytest
import pyvips
from PIL import features

from tools import audit, bundled
from tools.bundled import REPOSITORIES
from tools.locks import LOCKS, locked, pins

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.system() != "Linux", reason="wheels for other systems have other libraries"),
]

PILLOW = pins("requirements.txt")["pillow"]
RECORD = {
    "id": "GHSA-aaaa-bbbb-cccc",
    "aliases": ["CVE-2026-1"],
    "summary": "A hostile image is read beyond its end",
    "affected": [
        {
            "package": {"ecosystem": "PyPI", "name": "pillow", "purl": "pkg:pypi/pillow"},
            "ranges": [
                {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9.0.1"}]},
                {"type": "ECOSYSTEM", "events": [{"introduced": "10"}, {"fixed": "999.1"}]},
            ],
        },
        {
            "package": {"ecosystem": "PyPI", "name": "pillow-simd", "purl": "pkg:pypi/pillow-simd"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "999.2"}]}],
        },
    ],
}


class Service:
    """`vulnerable`: ids by the name of OSV's package. `records`: by id. `answer`: sent instead of everything."""

    def __init__(self) -> None:
        self.vulnerable: dict[str, list[str]] = {}
        self.records: dict[str, dict[str, Any]] = {}
        self.answer: tuple[int, bytes] | None = None
        self.queries: list[dict[str, Any]] = []
        self.url = ""

    def batch(self, queries: list[dict[str, Any]]) -> dict[str, Any]:
        """Answers with one id at a time, the next on the next page."""
        assert len(queries) <= 1000
        self.queries += queries
        return {"results": [self.result(query) for query in queries]}

    def result(self, query: dict[str, Any]) -> dict[str, Any]:
        package, page = query["package"], int(query.get("page_token", 0))
        ids = self.vulnerable.get(package.get("purl") or package["name"], [])
        more = {"next_page_token": str(page + 1)} if page + 1 < len(ids) else {}
        return {"vulns": [{"id": each} for each in ids[page : page + 1]], **more} if ids else {}


@pytest.fixture
def service() -> Iterator[Service]:
    stand_in = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.reply(stand_in.records.get(self.path.removeprefix("/v1/vulns/")))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.reply(stand_in.batch(body["queries"]) if self.path == "/v1/querybatch" else None)

        def reply(self, content: dict[str, Any] | None) -> None:
            status, body = stand_in.answer or (404 if content is None else 200, json.dumps(content).encode())
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        stand_in.url = f"http://127.0.0.1:{server.server_port}"
        yield stand_in
        server.shutdown()
        thread.join()


def test_audit_asks_about_every_pin_and_known_library(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--service", service.url]) == 0

    asked = {(query["package"].get("purl") or query["package"]["name"], query["version"]) for query in service.queries}
    for lock in LOCKS:
        for requirement, _ in locked(lock):
            assert (f"pkg:pypi/{requirement.name}", str(requirement.specifier).removeprefix("==")) in asked
    assert ("https://github.com/webmproject/libwebp.git", features.version("webp")) in asked
    assert {"package": {"ecosystem": "GIT", "name": audit_url("libvips")}, "version": vips_version()} in service.queries
    assert any(name.startswith("pkg:cargo/") for name, _ in asked)
    said = capsys.readouterr().out
    assert said.startswith(f"0 known vulnerabilities in {len(service.queries)} packages and libraries.\n")
    assert "libwebp in pyvips-binary" in said


def audit_url(library: str) -> str:
    return REPOSITORIES[library]


def vips_version() -> str:
    return ".".join(str(pyvips.version(part)) for part in range(3))


def test_vulnerable_pin_is_reported_with_its_fix_and_exit_status_1(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.vulnerable["pkg:pypi/pillow"] = [RECORD["id"]]
    service.records[RECORD["id"]] = RECORD

    assert audit.main(["--service", service.url]) == 1

    assert capsys.readouterr().out.splitlines()[:2] == [
        f"pillow {PILLOW}: GHSA-aaaa-bbbb-cccc CVE-2026-1 (fixed in 999.1) A hostile image is read beyond its end",
        f"1 known vulnerabilities in {len(service.queries)} packages and libraries.",
    ]


def test_vulnerable_library_in_a_wheel_is_reported(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    repository = audit_url("libavif")
    service.vulnerable[repository] = ["OSV-2026-1"]
    fixed = {"type": "GIT", "repo": repository, "events": [{"introduced": "0"}, {"fixed": "6f9a3e1c"}]}
    service.records["OSV-2026-1"] = {"id": "OSV-2026-1", "affected": [{"ranges": [fixed]}]}

    assert audit.main(["--service", service.url]) == 1

    version = features.version("avif")
    assert f"libavif in pillow {version}: OSV-2026-1 (fixed in 6f9a3e1c)\n" in capsys.readouterr().out


def test_aliases_withdrawn_and_ignored_vulnerabilities_are_left_out(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    again = {"id": "PYSEC-2026-1", "aliases": ["CVE-2026-1"]}
    withdrawn = {"id": "PYSEC-2026-2", "withdrawn": "2026-11-01T00:00:00Z"}
    unfixed = {"id": "PYSEC-2026-3"}
    records = [RECORD, again, withdrawn, unfixed]
    service.vulnerable["pkg:pypi/pillow"] = [str(record["id"]) for record in records]
    service.records = {str(record["id"]): record for record in records}

    assert audit.main(["--service", service.url, "--ignore", "CVE-2026-1"]) == 1

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"pillow {PILLOW}: PYSEC-2026-3 (no fixed version published)"
    assert lines[1].startswith("1 known")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((503, b"{}"), "did not answer (Server error '503 Service Unavailable'"),
        ((200, b"<html>"), "answered otherwise than OSV does (JSONDecodeError"),
        ((200, b"[]"), "answered otherwise than OSV does (TypeError"),
        ((200, b'{"results": []}'), "answered otherwise than OSV does (ValueError"),
    ],
)
def test_unusable_answer_exits_with_2(
    service: Service, capsys: pytest.CaptureFixture[str], answer: tuple[int, bytes], said: str
) -> None:
    service.answer = answer

    assert audit.main(["--service", service.url]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"Nothing was audited: {service.url} {said}")


def test_endless_pages_exit_with_2(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    service.vulnerable["pkg:pypi/pillow"] = ["GHSA-1"] * 200

    assert audit.main(["--service", service.url]) == 2

    assert "answered otherwise than OSV does (ValueError('more than 100 pages'))" in capsys.readouterr().err


def test_outdated_environment_exits_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(audit, "distribution", lambda name: distribution(f"no-{name}"))

    assert audit.main(["--service", "http://127.0.0.1:9"]) == 2

    assert re.match(r"Nothing was audited: no-\S+ is not installed, but locked\.", capsys.readouterr().err)


def test_unknown_contents_of_a_wheel_exit_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(bundled._IN_LIBVIPS, "libshelf", rb"no such text in libvips")

    assert audit.main(["--service", "http://127.0.0.1:9"]) == 2

    assert re.match(r"Nothing was audited: pyvips-binary [\d.]+ has no libshelf", capsys.readouterr().err)


def test_missing_network_exits_with_2_and_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert audit.main(["--service", "http://127.0.0.1:9"]) == 2

    assert "http://127.0.0.1:9 did not answer (" in capsys.readouterr().err
