"""Changes of an upload on the page: its focus, by mouse and by keyboard, and its visibility."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.visits import (
    Complaints,
    record_announcements,
    screenshot,
    wait_for_announcement,
    wait_for_image,
    wait_for_warm_up,
)
from tests.http_client import http
from tests.photographs import photograph_bytes
from tests.service import PATIENT, Service

pytestmark = pytest.mark.slow

SIZES = """
[sizes.square]
width = 60
height = 60
position = "focus"
[sizes.strip]
width = 150
height = 50
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("changes")
    (folder / "darkroom.toml").write_text(SIZES)
    with Service(folder, SIGNING_KEYS="s" * 32, **PATIENT) as running:
        yield running


def post(service: Service, **fields: str) -> str:
    files = {"image": ("coffee.png", photograph_bytes("coffee.png"))}
    answer = http.post(f"{service.url}/images/upload", files=files, data=fields)
    return str(answer.json()["uploadId"])


def shown(service: Service, upload_id: str, field: str) -> object:
    return http.get(f"{service.url}/images/{upload_id}").json()[field]


def test_focus_is_set_by_click_and_by_numbers(page: Page, service: Service) -> None:
    upload_id = post(service)
    page.goto(f"/#{upload_id}")
    wait_for_warm_up(page)
    picker, save = page.locator("[data-part=picker]"), page.get_by_role("button", name="Save focus")
    expect(page.get_by_text("No size of this image is cropped")).to_be_hidden()
    image = picker.locator("img")
    wait_for_image(image)
    # The square shows the middle of 300x200, two thirds of its width; the strip shows less.
    assert image.evaluate("image => [image.style.left, image.style.top, image.style.width, image.style.height]") == [
        *("16.6667%", "0%", "66.6667%", "100%"),
    ]
    wait_for_image(page.get_by_role("img", name="square.webp"))

    box = picker.bounding_box()
    picker.click(position={"x": box["width"] * 0.25, "y": box["height"] * 0.75})
    assert shown(service, upload_id, "focus") is None  # not before it is saved
    record_announcements(page)
    save.click()
    wait_for_announcement(page, "Focus saved")
    x, y = map(float, str(shown(service, upload_id, "focus")).split(","))
    assert (x, y) == (pytest.approx(0.25, abs=0.01), pytest.approx(0.75, abs=0.01))
    expect(page.locator("#details .facts [data-part=focus]")).to_have_text(f"{x:g},{y:g}")
    card = page.get_by_role("img", name="square.webp")
    wait_for_image(card)
    assert card.get_attribute("src").endswith(f"?focus={x:g}%2C{y:g}")  # not what the browser has cached
    expect(save).to_be_focused()

    number = page.get_by_label("From the left, %")
    number.fill("90")
    number.press("ArrowUp")
    number.press("Enter")
    expect(page.locator("#details .facts [data-part=focus]")).to_have_text(f"0.91,{y:g}")
    page.get_by_role("button", name="Use the centre").click()
    wait_for_announcement(page, "The focus is the centre again.")
    assert shown(service, upload_id, "focus") is None


def test_visibility_is_switched_and_private_variants_are_shown(
    open_page: OpenPage, service: Service, complaints: Complaints
) -> None:
    upload_id = post(service)
    complaints.allow_missing(upload_id)  # variants that move while the page loads them
    page = open_page(f"/#{upload_id}")
    wait_for_warm_up(page)
    expect(page.get_by_role("link", name="Metrics")).to_be_visible()

    record_announcements(page)
    page.get_by_role("button", name="Make private").click()
    expect(page.get_by_role("button", name="Make public")).to_be_focused()
    wait_for_announcement(page, "The upload is private now.")
    assert shown(service, upload_id, "visibility") == "private"
    wait_for_warm_up(page)
    for image in (
        page.get_by_role("img", name="square.webp"),
        page.locator("[data-part=picker] img"),
        page.locator(f'#recent a[href="#{upload_id}"] img'),
    ):
        wait_for_image(image)
        assert f"/private/{upload_id}/" in image.get_attribute("src")
        assert "?token=v1." in image.get_attribute("src")
    expect(page.get_by_text("This image is private.")).to_be_visible()
    expect(page.get_by_role("button", name="Copy snippet")).to_be_hidden()
    page.get_by_role("button", name="Copy the URL of square.webp").click()
    expect(page.get_by_role("status")).to_have_text("Copied")
    assert "token" not in page.evaluate("navigator.clipboard.readText()")
    screenshot(page, "private")

    page.get_by_role("button", name="Make public").click()
    wait_for_announcement(page, "The upload is public now.")
    wait_for_image(page.get_by_role("img", name="square.webp"))
    assert shown(service, upload_id, "visibility") == "public"


def test_failed_change_shows_the_reason(page: Page, service: Service, complaints: Complaints) -> None:
    complaints.expect("409 (Conflict)")
    upload_id = post(service)
    page.goto(f"/#{upload_id}")
    wait_for_warm_up(page)
    problem = '{"title": "In progress", "detail": "Another call changes this upload."}'
    page.route(
        f"**/images/{upload_id}",
        lambda route: route.fulfill(status=409, body=problem) if route.request.method == "PATCH" else route.continue_(),
    )
    page.get_by_role("button", name="Save focus").click()

    expect(page.locator("#details .problem")).to_have_text("In progress. Another call changes this upload.")
    expect(page.locator("#details [data-part=content]")).to_be_visible()


def test_try_again_fetches_a_new_token(page: Page, service: Service, complaints: Complaints) -> None:
    complaints.expect("403 (Forbidden)")
    upload_id = post(service, visibility="private")
    tokens = json.dumps({"tokens": {upload_id: f"v1.1.{'x' * 43}"}, "expiresAt": "2100-01-01T00:00:00+00:00"})
    page.route("**/images/tokens?*", lambda route: route.fulfill(body=tokens, content_type="application/json"))
    page.goto("/")
    page.goto(f"/#{upload_id}")
    wait_for_warm_up(page)
    broken = {
        "square.webp": page.locator(".card").filter(has=page.get_by_alt_text("square.webp")),
        "strip.avif": page.get_by_role("region", name="Compare"),
        "": page.locator("#recent li").first,
    }
    for part in broken.values():
        part.scroll_into_view_if_needed()  # images are loaded where they are seen
        expect(part.get_by_role("button", name="Try again")).to_be_visible()
    page.unroute_all()

    for alt, part in broken.items():
        part.get_by_role("button", name="Try again").click()
        wait_for_image(part.locator(f'img[alt="{alt}"]'))
        expect(part.get_by_role("button", name="Try again")).to_be_hidden()
