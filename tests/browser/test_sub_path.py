"""The page and `/docs` below a path of another site. `complaints` reports every request that leaves the path."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import OpenPage, small_service
from tests.browser.visits import Complaints, choose, wait_for_image, wait_for_warm_up
from tests.conftest import need
from tests.nginx import PROGRAM, site_below_path
from tests.photographs import photograph_bytes
from tests.server import free_port
from tests.service import Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose `url` is the one below the path of nginx."""
    need(PROGRAM, "nginx-light")
    port = free_port()
    public = f"http://127.0.0.1:{port}/media"
    with (
        small_service(tmp_path_factory.mktemp("service"), PUBLIC_URL=public) as running,
        site_below_path(tmp_path_factory.mktemp("site"), port, running.url),
    ):
        running.url = public
        yield running


@pytest.mark.slow
def test_upload_is_followed_shown_and_deleted_below_the_path(
    service: Service, open_page: OpenPage, complaints: Complaints
) -> None:
    page = open_page(f"{service.url}/")
    choose(page, "coffee.png")
    upload_id = wait_for_warm_up(page)
    complaints.allow_missing(upload_id)

    assert page.url == f"{service.url}/#{upload_id}"
    wait_for_image(page.locator("#details img").first)
    wait_for_image(page.locator("#recent img").first)
    expect(page.locator("footer code")).to_contain_text(f"{service.url}/images/upload")
    expect(page.locator("[data-part=hint]")).to_be_hidden()

    page.reload()
    page.get_by_role("button", name="Delete this upload").click()
    page.get_by_role("button", name="Delete it").click()
    expect(page.get_by_role("status")).to_contain_text("Deleted")
    assert page.url == f"{service.url}/"


@pytest.mark.slow
def test_form_uploads_below_the_path_without_javascript(service: Service, open_page: OpenPage) -> None:
    page = open_page(f"{service.url}/", java_script_enabled=False)
    picture = {"name": "coffee.png", "mimeType": "image/png", "buffer": photograph_bytes("coffee.png")}
    page.get_by_label("Drop images here").set_input_files(picture)
    page.get_by_role("button", name="Upload").click()

    expect(page.get_by_role("heading", name="Uploaded")).to_be_visible()
    expect(page.locator("body")).to_have_css("max-width", "1216px")  # from style.css
    page.get_by_role("link", name="Upload another").click()
    page.wait_for_url(f"{service.url}/")


@pytest.mark.slow
def test_docs_call_the_service_below_the_path(service: Service, open_page: OpenPage) -> None:
    page = open_page(f"{service.url}/docs#/Uploads/listUploads")
    listing = page.locator("#operations-Uploads-listUploads")
    listing.get_by_role("button", name="Try it out").click()
    for server in (service.url, "./"):
        page.locator(".servers select").select_option(server)
        with page.expect_response(f"{service.url}/images?*") as answer:
            listing.get_by_role("button", name="Execute").click()
        assert answer.value.status == 200
