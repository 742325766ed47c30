"""Schemathesis against a live service: no request causes a server error or an undocumented response.

It tries examples, bounds, wrong types and random values on every call, and undocumented methods. It follows links, so
that calls use the results of others.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.conftest import ci_module
from tests.service import PATIENT, Service

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SIZES = "[sizes.tiny]\nwidth = 24\nheight = 24\n[sizes.wide]\nwidth = 48\n"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ensure_resource_availability",
    "ignored_auth",
)
ID = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}")
VARIANT = re.compile(r"\{id}/(tiny|wide)(@|%40)?[23]?x?\.\w+$")
REACHED = {
    ("POST", "/images/upload", 201),
    ("POST", "/images/upload", 400),
    ("POST", "/images/upload", 422),
    ("GET", "/images/upload", 405),
    ("GET", "/images", 200),
    ("GET", "/images/{id}", 200),
    ("GET", "/images/{id}/original", 200),
    ("GET", "/images/{id}/status", 200),
    ("GET", "/images/{id}/events", 200),
    ("GET", "/images/{id}/variant", 200),
    ("GET", "/images/{id}/variant", 206),
    ("GET", "/images/{id}/variant", 304),
    ("GET", "/images/{id}/variant", 308),
    ("GET", "/images/{id}/variant", 404),
    ("GET", "/images/{id}/variant", 416),
    ("HEAD", "/images/{id}/variant", 200),
    ("DELETE", "/images/{id}", 204),
    ("DELETE", "/images/{id}", 404),
}
LOCKED = {
    ("POST", "/images/upload"),
    ("POST", "/images/tickets"),
    ("GET", "/images/tokens"),
    ("GET", "/images"),
    ("DELETE", "/images"),
    ("GET", "/images/deletions/{id}"),
    ("GET", "/images/{id}"),
    ("GET", "/images/{id}/original"),
    ("GET", "/images/{id}/status"),
    ("GET", "/images/{id}/events"),
    ("PATCH", "/images/{id}"),
    ("DELETE", "/images/{id}"),
    ("GET", "/metrics"),
}


def explore(service: Service, *options: str, examples: int) -> set[tuple[str, str, int]]:
    """Returns the methods, paths and statuses of all calls. Fails with Schemathesis' report if it finds an error."""
    ci_module("schemathesis")
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("st")),
            *("run", f"{service.url}/openapi.json", "--checks", ",".join(CHECKS), "--no-color"),
            *("--generation-deterministic", "--max-examples", str(examples)),
            *("--request-timeout", "60", "--report", "har", "--report-dir", "report", *options),
        ],
        cwd=service.folder,
        env={"PATH": "", "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.integration.schemathesis_hooks"},
        text=True,
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [report] = (service.folder / "report").glob("har-*.json")
    entries = json.loads(report.read_text())["log"]["entries"]
    return {
        (entry["request"]["method"], named(entry["request"]["url"]), entry["response"]["status"]) for entry in entries
    }


def named(url: str) -> str:
    return VARIANT.sub("{id}/variant", ID.sub("{id}", urlsplit(url).path))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "darkroom.toml").write_text(SIZES)
    return tmp_path


@pytest.mark.parametrize("examples", [15, pytest.param(50, marks=pytest.mark.long)])
def test_every_response_matches_the_description(folder: Path, examples: int) -> None:
    with Service(folder, UPLOAD_KEYS="k" * 32, SIGNING_KEYS="s" * 32, **PATIENT) as service:
        seen = explore(service, examples=examples)

    assert seen >= REACHED


def test_description_names_the_calls_that_need_a_key(folder: Path) -> None:
    with Service(
        folder,
        API_KEYS="first-first-first,second-second-second",
        UPLOAD_KEYS="k" * 32,
        SIGNING_KEYS="s" * 32,
        **PATIENT,
    ) as service:
        seen = explore(service, "--header", "Authorization: Bearer second-second-second", examples=12)

    assert {(method, path) for method, path, status in seen if status == 401} == LOCKED
    assert {(method, path) for method, path, status in seen if status < 300} >= LOCKED


@pytest.mark.long
def test_ingest_role_matches_its_description(folder: Path) -> None:
    with Service(folder, "--role", "ingest", **PATIENT) as service:
        seen = explore(service, examples=2)

    assert ("POST", "/images/upload", 201) in seen
    assert not any(path.endswith("/variant") for _, path, _ in seen)
