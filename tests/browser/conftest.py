"""A real browser and real services."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.visits import Complaints
from tests.conftest import need
from tests.service import PATIENT, Service
from tests.waiting import GUARD

PROGRAM = shutil.which("chromium-headless-shell")
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage"]  # containers have neither user namespaces nor a large /dev/shm
SIDES = {"small": 60, "medium": 90, "large": 120}
PATIENCE = 1000 * GUARD  # milliseconds

OpenPage = Callable[..., Page]


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser for this folder: while Playwright runs, no other event loop may run in this thread."""
    need(PROGRAM, "chromium-headless-shell")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=PROGRAM, args=FLAGS) as browser:
        yield browser


def small_service(folder: Path, **settings: str) -> Service:
    """A service with three small sizes, whose warm-up takes less than a second."""
    sizes = "".join(f"[sizes.{name}]\nwidth = {side}\nheight = {side}\n" for name, side in SIDES.items())
    (folder / "darkroom.toml").write_text(sizes)
    return Service(folder, **PATIENT | settings)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with small_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def complaints(service: Service) -> Iterator[Complaints]:
    heard = Complaints(service.url)
    yield heard
    heard.check()


@pytest.fixture
def open_page(chromium: Browser, service: Service, complaints: Complaints) -> Iterator[OpenPage]:
    """`open_page("/", color_scheme="dark")` opens a page in its own context and collects its browser errors."""
    contexts = []

    def open_in_context(path: str = "/", **options: Any) -> Page:
        # Without transitions, a page that waits draws nothing.
        context = chromium.new_context(base_url=service.url, **{"reduced_motion": "reduce"} | options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        page = context.new_page()
        complaints.listen(page)
        page.goto(path)
        return page

    yield open_in_context
    for context in contexts:
        complaints.wait(context.pages[0])
        context.close()


@pytest.fixture
def page(open_page: OpenPage) -> Page:
    return open_page()
