"""`examples/django`, started by the commands of its README, in Chromium."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import PATIENCE
from tests.browser.visits import UPLOAD_ID, wait_for_image
from tests.client import until
from tests.example_apps import EXAMPLES, Example, running
from tests.http_client import http
from tests.photographs import photograph_path
from tests.service import environment

pytestmark = pytest.mark.slow

MARKUP = '<img src=x onerror="document.title = \'attacked\'">"'


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running("django", tmp_path_factory.mktemp("album")) as album:
        yield album


@pytest.fixture
def page(chromium: Browser, album: Example) -> Iterator[Page]:
    """The page, logged in as the README's user."""
    with chromium.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(album.url)
        page.get_by_label("Username").fill("ada")
        page.get_by_label("Password").fill("picture-book")
        page.get_by_role("button", name="Log in").click()
        yield page


def upload(page: Page, title: str, *, private: bool = False) -> Locator:
    """Uploads a photo by the form. Returns its figure."""
    page.get_by_label("Title").fill(title)
    page.get_by_label("Image").set_input_files(photograph_path("rocket.jpg"))
    page.get_by_label("Private").set_checked(private)
    page.get_by_role("button", name="Upload").click()
    figure = page.locator("figure", has_text=title)
    expect(figure).to_have_id(UPLOAD_ID)
    wait_for_image(figure.locator("img"))
    return figure


def shown_url(figure: Locator) -> str:
    return str(figure.locator("img").evaluate("image => image.currentSrc"))


def test_album_from_the_first_photo_to_the_deletion_of_the_account(page: Page, album: Example) -> None:
    public = upload(page, MARKUP)
    image = public.locator("img")
    urls = [shown_url(public)]
    assert urls[0].startswith(f"{album.darkroom}/images/")
    expect(image).to_have_attribute("alt", MARKUP)
    assert "data:image/png;base64," in (image.get_attribute("style") or "")
    assert page.title() == "Album"

    private = upload(page, "A secret", private=True)
    urls.append(shown_url(private))
    path, _, token = urls[1].partition("?token=")
    assert path.startswith(f"{album.darkroom}/private/")
    assert token
    assert http.get(path).status_code == 403

    page.get_by_label("Title").fill("A text")
    page.get_by_label("Image").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"GIF89a"})
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_text("Send a JPEG, PNG or WebP image")).to_be_visible()

    page.goto(album.url)
    until(lambda: page.reload() and page.get_by_text(", ready)").count() == 2)
    third = upload(page, "Another")
    album.delete(third.get_attribute("id") or "")
    until(lambda: page.reload() and page.locator("figure").count() == 2)

    assert len(album.uploads()) == 2
    page.get_by_role("button", name="Delete account of ada").click()
    expect(page.get_by_label("Username")).to_be_visible()
    until(lambda: album.uploads() == [])
    assert [http.get(url).status_code for url in urls] == [404, 404]
    page.get_by_label("Username").fill("ada")
    page.get_by_label("Password").fill("picture-book")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_text("Please enter a correct username and password")).to_be_visible()


def test_webhook_that_is_not_signed_is_refused(album: Example) -> None:
    assert http.post(f"{album.url}/hooks/darkroom", json={"type": "image.deleted"}).status_code == 400


def test_webhooks_that_come_at_the_same_time_are_all_handled(album: Example) -> None:
    data = {"uploadId": str(uuid4()), "externalId": None, "owner": None}
    with ThreadPoolExecutor(8) as threads:
        messages = [uuid4().hex for _ in range(40)]
        statuses = [*threads.map(lambda message: album.send_webhook("image.deleted", data, message), messages)]
    assert statuses == [204] * 40


def test_migrations_fit_the_models() -> None:
    settings = dict.fromkeys(("SECRET_KEY", "DARKROOM_KEY", "SIGNING_KEYS", "WEBHOOK_SECRET"), "x")
    done = subprocess.run(
        [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"],
        cwd=EXAMPLES / "django",
        env=environment(settings | {"DARKROOM_URL": "http://127.0.0.1:8000"}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
