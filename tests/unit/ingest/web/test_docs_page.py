"""`/docs`: Swagger UI, with all files from this server and a policy that allows nothing else."""

import re
import runpy
from html.parser import HTMLParser

import pytest

from ingest.web import docs
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

TYPES = {
    "/docs": "text/html; charset=utf-8",
    "/docs/page.css": "text/css; charset=utf-8",
    "/docs/start.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.js": "text/javascript; charset=utf-8",
    "/docs/swagger-ui.css": "text/css; charset=utf-8",
}


async def test_import_looks_up_no_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_name: str) -> None:
        raise AssertionError("looked up at import")

    monkeypatch.setattr("importlib.metadata.distribution", fail)

    assert set(runpy.run_path(docs.__file__)["DOCS_PATHS"]) == {"/openapi.json", *TYPES}


class Sources(HTMLParser):
    """Returns what a page loads, and its inline scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.urls: list[str] = []
        self.inline: list[str] = []
        self._script = False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._script = tag in ("script", "style")
        if url := dict(attrs).get("src" if tag == "script" else "href"):
            self.urls.append(url)

    def handle_data(self, data: str) -> None:
        if self._script and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("path", TYPES)
async def test_docs_files_are_open_and_load_nothing_external(service: Service, path: str) -> None:
    answer = await service.configured(api_keys=("first-first-first",)).get(path)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == TYPES[path]
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(directive.split(" ", 1) for directive in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"


async def test_docs_page_loads_existing_files(service: Service) -> None:
    page = Sources((await service.get("/docs")).text)

    assert page.inline == []
    urls = {url for url in page.urls if url not in ("data:,", "./")}
    assert urls == {path.removeprefix("/") for path in (*TYPES, "/openapi.json")} - {"docs"}  # relative to /docs


async def test_openapi_describes_this_server(service: Service) -> None:
    assert re.findall(r'url: "(.*)"', (await service.get("/docs/start.js")).text) == ["openapi.json"]


async def test_swagger_ui_supports_openapi_3_1(service: Service) -> None:
    [version] = re.findall(r'PACKAGE_VERSION:"(\d+)\.', (await service.get("/docs/swagger-ui.js")).text)

    assert int(version) >= 5
