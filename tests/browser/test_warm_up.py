"""The warm-up: the page follows it by events or by polling, and without a worker the page derives the variants."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.visits import Complaints, choose, item, screenshot, wait_for_image, wait_for_upload, wait_for_warm_up
from tests.camera import camera_jpeg
from tests.http_client import http
from tests.photographs import photograph_bytes
from tests.service import PATIENT, Service

pytestmark = pytest.mark.slow

RECORD_WARM_UP = """() => {
    window.seen = []
    const progress = document.querySelector("#details progress")
    new MutationObserver(() => window.seen.push(progress.value)).observe(progress, {attributeFilter: ["value"]})
}"""


def post(service: Service, name: str = "coffee.png") -> str:
    answer = http.post(f"{service.url}/images/upload", files={"image": (name, photograph_bytes(name))})
    return str(answer.json()["uploadId"])


def test_events_advance_progress_to_100(page: Page) -> None:
    page.evaluate(RECORD_WARM_UP)
    with page.expect_response("**/events") as events:
        page.get_by_label("Drop images here").set_input_files(
            {"name": "photo.jpg", "mimeType": "image/jpeg", "buffer": camera_jpeg()}
        )
    wait_for_warm_up(page)

    assert events.value.headers["content-type"].startswith("text/event-stream")
    seen = page.evaluate("seen")
    assert seen == sorted(seen)  # on a busy machine the first event may already be the last
    assert seen[-1] == 100
    expect(page.locator("#details [data-part=warmup]")).to_contain_text("9 of 9 variants ready")
    expect(page.get_by_role("status")).to_contain_text("9 of 9 variants ready")
    expect(page.locator("#recent .chip").first).to_have_text("complete")


def test_status_is_polled_if_events_fail(page: Page, complaints: Complaints) -> None:
    complaints.expect("ERR_FAILED")
    page.route("**/events", lambda route: route.abort())
    choose(page, "astronaut.png")
    wait_for_warm_up(page)

    expect(page.locator("#details [data-part=bytes]").first).not_to_be_empty()


def test_status_is_polled_after_the_stream_breaks(page: Page, service: Service) -> None:
    upload_id = post(service)
    half = 'event: status\ndata: {"status": "processing", "progress": 41, "error": null, "variants": {}}\n\nevent: sta'
    page.route("**/events", lambda route: route.fulfill(content_type="text/event-stream", body=half))
    page.evaluate(RECORD_WARM_UP)
    page.goto(f"/#{upload_id}")
    wait_for_warm_up(page)

    assert page.evaluate("seen")[0] == 41


def test_failed_warm_up_shows_the_reason_and_every_variant(page: Page, service: Service) -> None:
    upload_id = post(service)
    failed = (
        'event: status\ndata: {"status": "failed", "progress": 40, "error": "A render process died.", "variants": '
        '{"small.avif": {"state": "waiting", "bytes": null, "milliseconds": null, "quality": null, "score": null}}}'
    )
    page.route("**/events", lambda route: route.fulfill(content_type="text/event-stream", body=failed + "\n\n"))
    page.goto(f"/#{upload_id}")

    expect(page.locator("#details [data-part=warmup]")).to_contain_text("A render process died.")
    wait_for_image(page.get_by_role("img", name="small.avif"))


def test_upload_deleted_meanwhile_is_reported(page: Page, service: Service) -> None:
    upload_id = post(service)
    page.route(
        "**/events",
        lambda route: route.fulfill(content_type="text/event-stream", body="event: deleted\r\ndata: {}\r\n\r\n"),
    )
    page.goto(f"/#{upload_id}")

    expect(page.locator("#details .problem")).to_have_text(
        "This upload was deleted. Someone deleted it while you viewed it."
    )
    expect(page.locator("#details [data-part=content]")).to_be_hidden()


class TestWithoutWorkers:
    @pytest.fixture(scope="class")
    @classmethod
    def service(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        with Service(tmp_path_factory.mktemp("idle"), WARM_UP="false", **PATIENT) as running:
            yield running

    def test_opening_an_upload_derives_its_variants(self, page: Page, service: Service) -> None:
        choose(page, "coffee.png")
        frame = page.locator("#details .card .frame").first
        wait_for_upload(page)
        assert frame.evaluate("frame => getComputedStyle(frame).backgroundImage").startswith('url("data:image/png')
        screenshot(page, "placeholders")

        expect(page.locator("#details [data-part=warmup]")).to_contain_text("Waiting for a worker")
        wait_for_image(page.get_by_role("img", name="small.jpg"))
        assert service.metric("darkroom_derivations_total", size="small", format="jpg") == 1


class TestConfiguredSizes:
    @pytest.fixture(scope="class")
    @classmethod
    def service(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
        folder: Path = tmp_path_factory.mktemp("sizes")
        (folder / "darkroom.toml").write_text(
            '[sizes.strip]\nwidth = 300\nheight = 60\n[sizes.page]\nwidth = 240\nquality = "auto"\n'
        )
        with Service(folder, **PATIENT) as running:
            yield running

    def test_configured_sizes_show_their_dimensions_quality_and_score(self, page: Page, service: Service) -> None:
        choose(page, "coffee.png")
        upload_id = wait_for_warm_up(page)

        expect(page.locator("#details h4")).to_have_text(["strip", "page"])
        status = http.get(f"{service.url}/images/{upload_id}/status").json()["variants"]
        for name, shape in {"strip.webp": "300 × 60", "page.webp": "240 × 160"}.items():
            card = page.locator(".card").filter(has=page.get_by_role("img", name=name))
            wait_for_image(card.get_by_role("img"))
            expect(card).to_contain_text(shape)
        expect(card.locator("[data-part=quality]")).to_have_text(str(status["page.webp"]["quality"]))
        expect(card.locator("[data-part=score]")).to_have_text(f"{status['page.webp']['score']:.1f}")
        expect(page.locator(".card").first.locator("[data-part=quality]")).to_be_hidden()
        expect(item(page, "coffee.png")).to_have_attribute("data-state", "uploaded")


def test_another_upload_can_be_opened_during_a_warm_up(open_page: OpenPage, service: Service) -> None:
    first, second = post(service), post(service, "chelsea.png")
    page = open_page(f"/#{first}")
    page.goto(f"/#{second}")
    wait_for_warm_up(page)

    expect(page.locator("#details [data-part=id]")).to_have_text(second)
    expect(page.locator("#details [data-part=original]")).to_contain_text("301 × 199")
