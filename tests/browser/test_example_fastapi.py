"""`examples/fastapi-spa`, started by the commands of its README, in Chromium."""

import base64
import re
from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from darkroom import sign_ticket
from tests.browser.conftest import PATIENCE
from tests.browser.visits import UPLOAD_ID, wait_for_image
from tests.client import until
from tests.conftest import ci_module
from tests.example_apps import Example, running
from tests.http_client import http
from tests.javascript import compiled
from tests.photographs import photograph_bytes, photograph_path

MARKUP = '<img src=x onerror="document.title = \'attacked\'">"'
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    ci_module("fastapi")
    compiled()
    with running("fastapi-spa", tmp_path_factory.mktemp("album")) as album:
        yield album


@pytest.fixture
def page(chromium: Browser, album: Example) -> Iterator[Page]:
    """The page, with a user who has just logged in. Its console has no errors except refused calls."""
    errors = []
    with chromium.new_context() as context:
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda each: errors.append(each.text) if each.type in ("error", "warning") else None)
        page.goto(album.url)
        page.get_by_label("Your name").fill(f"Ada {uuid4()}")
        page.get_by_role("button", name="Log in").click()
        expect(page.get_by_label("Title")).to_be_visible()
        yield page
    assert [error for error in errors if not re.search("status of (400|401)", error)] == []


def upload(page: Page, title: str = "A rocket", *, private: bool = False) -> Locator:
    """Uploads a photo by the form. Returns its figure."""
    page.get_by_label("Title").fill(title)
    page.get_by_label("Photo").set_input_files(photograph_path("rocket.jpg"))
    page.get_by_label("Private").set_checked(private)
    page.get_by_role("button", name="Upload").click()
    figure = page.locator("figure", has_text=title)
    expect(figure).to_have_id(UPLOAD_ID)
    return figure


def shown_url(figure: Locator) -> str:
    """Waits until the image is displayed. Returns the URL that the browser chose."""
    wait_for_image(figure.locator("img"))
    return str(figure.locator("img").evaluate("image => image.currentSrc"))


def upload_id(figure: Locator) -> str:
    return figure.get_attribute("id") or ""


def log_in(album: Example, name: str) -> dict[str, str]:
    """Returns the headers of this user's calls."""
    answer = http.post(f"{album.url}/api/session", json={"name": name}, headers=SAME_ORIGIN)
    http.cookies.clear()  # other tests use the same client
    assert answer.status_code == 204
    return {"Cookie": f"session={answer.cookies['session']}"} | SAME_ORIGIN


@pytest.mark.slow
def test_photo_shows_its_placeholder_then_the_image_then_the_webhook(page: Page, album: Example) -> None:
    held: list[Route] = []
    released = False

    def hold(route: Route) -> None:
        if released:
            route.continue_()
        else:
            held.append(route)

    page.route(f"{album.darkroom}/images/*/*", hold)  # variants, not the upload

    figure = upload(page, MARKUP)
    image = figure.locator("img")
    until(lambda: page.evaluate("1") and held)  # Playwright only listens while it is called
    expect(image).to_have_attribute("style", f"background:{_color(image)} url({_preview(image)}) center/cover")
    assert image.evaluate("image => image.naturalWidth") == 0
    released = True
    for route in held:
        route.continue_()

    assert shown_url(figure).startswith(f"{album.darkroom}/images/{upload_id(figure)}/")
    assert shown_url(figure).endswith(".avif")
    assert len((figure.locator("source").first.get_attribute("srcset") or "").split(", ")) > 1
    expect(figure.locator("figcaption")).to_have_text(f"{MARKUP} (public, ready)")
    expect(image).to_have_attribute("alt", MARKUP)
    assert page.title() == "Album"
    expect(page.get_by_label("Progress of the upload")).to_be_hidden()


def _color(image: Locator) -> str:
    return (image.get_attribute("style") or "")[len("background:") :][:7]


def _preview(image: Locator) -> str:
    preview = (image.get_attribute("style") or "").partition("url(")[2].partition(")")[0]
    assert preview.startswith("data:image/png;base64,")
    return preview


@pytest.mark.slow
def test_private_photo_is_shown_and_is_forbidden_without_its_token(page: Page, album: Example) -> None:
    figure = upload(page, "A secret", private=True)

    path, _, token = shown_url(figure).partition("?token=")
    assert path.startswith(f"{album.darkroom}/private/{upload_id(figure)}/")
    assert http.get(f"{path}?token={token}").status_code == 200
    assert http.get(path).status_code == 403
    assert http.get(path.replace("/private/", "/images/")).status_code == 404
    page.reload()
    assert shown_url(page.locator("figure")).startswith(path.rpartition("/")[0])


@pytest.mark.slow
def test_refused_file_shows_why(page: Page) -> None:
    page.get_by_label("Title").fill("A text")
    page.get_by_label("Photo").set_input_files({"name": "x.png", "mimeType": "image/png", "buffer": b"GIF89a"})
    page.get_by_role("button", name="Upload").click()

    expect(page.get_by_role("status")).to_contain_text("Send a JPEG, PNG or WebP image")


@pytest.mark.slow
def test_photo_that_is_deleted_elsewhere_disappears_by_its_webhook(page: Page, album: Example) -> None:
    figure = upload(page)
    expect(figure).to_contain_text("ready")

    album.delete(upload_id(figure))

    count = "fetch('/api/photos').then((answer) => answer.json()).then((photos) => photos.length)"
    until(lambda: page.evaluate(count) == 0)
    page.reload()
    expect(page.get_by_label("Title")).to_be_visible()
    expect(page.locator("figure")).to_have_count(0)


@pytest.mark.slow
def test_deleted_account_leaves_nothing(page: Page, album: Example) -> None:
    public, private = upload(page, "Public"), upload(page, "Private", private=True)
    urls = [shown_url(public), shown_url(private)]
    [owner] = {each["owner"] for each in album.uploads(ids=f"{upload_id(public)},{upload_id(private)}")}
    ticket = sign_ticket(album.secrets["UPLOAD_KEYS"], owner=owner)  # as one that a page still has
    expect(page.get_by_text("ready")).to_have_count(2)

    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Delete account").click()

    expect(page.get_by_role("status")).to_have_text("Your account and all its photos are deleted.")
    expect(page.get_by_label("Your name")).to_be_visible()
    until(lambda: album.uploads(owner=owner) == [])
    assert [http.get(url).status_code for url in urls] == [404, 404]
    late = http.post(
        f"{album.darkroom}/images/upload",
        files={"image": photograph_bytes("coffee.png")},
        headers={"Authorization": f"Bearer {ticket}"},
    )
    assert late.status_code == 201
    until(lambda: album.uploads(owner=owner) == [])


def test_receipt_of_another_user_is_refused(album: Example) -> None:
    ada, eve = log_in(album, "Ada"), log_in(album, "Eve")
    ticket = http.post(f"{album.url}/api/tickets", json={"private": False}, headers=ada).json()
    receipt = http.post(
        f"{album.darkroom}/images/upload",
        files={"image": photograph_bytes("coffee.png")},
        headers={"Authorization": f"Bearer {ticket['ticket']}"},
    ).json()["receipt"]
    photo = {"receipt": receipt, "title": "Coffee"}

    statuses = [
        http.post(f"{album.url}/api/photos", json=photo, headers=user).status_code
        for user in (eve, ada, ada)  # twice: one photo
    ]

    assert statuses == [400, 201, 201]
    assert len(http.get(f"{album.url}/api/photos", headers=ada).json()) == 1
    assert http.get(f"{album.url}/api/photos", headers=eve).json() == []
    assert http.get(f"{album.url}/api/photos").status_code == 401


def test_calls_from_other_sites_are_refused(album: Example) -> None:
    ada = log_in(album, "Ada")

    for site in ("cross-site", "same-site"):
        answer = http.delete(f"{album.url}/api/account", headers=ada | {"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    assert http.get(f"{album.url}/api/session", headers=ada).json()["name"] == "Ada"


@pytest.mark.slow
def test_webhook_counts_once_and_only_if_it_is_genuine(page: Page, album: Example) -> None:
    figure = upload(page)
    expect(figure).to_contain_text("ready")
    data: dict[str, object] = {"uploadId": upload_id(figure), "owner": None}
    other: dict[str, object] = {"uploadId": str(uuid4()), "owner": None}
    count = "fetch('/api/photos').then((answer) => answer.json()).then((photos) => photos.length)"
    wrong = "whsec_" + base64.b64encode(b"x" * 32).decode()

    assert album.send_webhook("image.deleted", data, "one", wrong) == 400
    assert album.send_webhook("image.deleted", other, "two") == 204
    assert album.send_webhook("image.deleted", data, "two") == 204  # has come before: ignored
    assert page.evaluate(count) == 1
    assert album.send_webhook("image.deleted", data, "three") == 204
    assert page.evaluate(count) == 0
