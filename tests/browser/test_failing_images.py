"""The image of the newest tile fails. Its pauses take a hundredth of their time.

They are random, so they are no whole milliseconds, unlike all other timers of the page.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.visits import Complaints, ids, tiles
from tests.client import upload
from tests.photographs import photograph
from tests.pictures import png
from tests.service import PATIENT, Service

pytestmark = pytest.mark.slow

HASTEN = """
    const wait = window.setTimeout;
    window.pauses = [];
    window.setTimeout = (work, milliseconds = 0, ...rest) => {
        if (Number.isInteger(milliseconds)) return wait(work, milliseconds, ...rest);
        window.pauses.push(milliseconds / 1000);
        return wait(work, milliseconds / 100, ...rest);
    };
"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one upload."""
    with Service(tmp_path_factory.mktemp("failing"), WARM_UP="false", **PATIENT) as running:
        upload(running, png(photograph("chelsea.png").resize((150, 100))))
        yield running


def open_failing(page: Page, service: Service, *statuses: int, retry_after: str = "0") -> tuple[Locator, list[str]]:
    """Opens the page anew. Returns the tile's frame, and the requests for its image, which get `statuses` first."""
    answers, requests = list(statuses), []

    def answer(route: Route) -> None:
        requests.append(route.request.method)
        if answers:
            route.fulfill(status=answers.pop(0), headers={"Retry-After": retry_after})
        else:
            route.continue_()

    page.goto("about:blank")  # ends the requests of the page before
    page.route(f"**/images/{ids(service)[0]}/*", answer)
    page.add_init_script(HASTEN)
    page.goto("/")
    frame = tiles(page).first.locator("[data-part=frame]")
    frame.scroll_into_view_if_needed()
    return frame, requests


def test_image_is_requested_again_while_the_server_is_busy(
    page: Page, service: Service, complaints: Complaints
) -> None:
    complaints.expect("503 (")
    complaints.expect("504 (")

    frame, requests = open_failing(page, service, 503, 504)

    expect(frame).to_have_attribute("data-image", "loaded")
    assert requests == ["GET"] * 4  # the last from the browser's cache, which Playwright's routes turn off


def test_retry_after_of_the_server_lengthens_a_pause_and_a_button_tries_again(
    page: Page, service: Service, complaints: Complaints
) -> None:
    complaints.expect("503 (")

    frame, requests = open_failing(page, service, *[503] * 5, retry_after="12")

    expect(frame).to_have_attribute("data-image", "failed")
    first, *later = page.evaluate("pauses")
    assert first == pytest.approx(1, rel=0.25)
    assert [12 <= pause <= 15 for pause in later] == [True, True, False]
    assert later[2] == pytest.approx(27, rel=0.25)
    tiles(page).first.get_by_role("button", name="Try again").click()
    expect(frame).to_have_attribute("data-image", "loaded")
    assert len(requests) == 6


def test_requests_end_after_four_growing_pauses(page: Page, service: Service, complaints: Complaints) -> None:
    complaints.expect("503 (")

    frame, requests = open_failing(page, service, *[503] * 10)

    expect(frame).to_have_attribute("data-image", "failed")
    assert requests == ["GET"] * 5
    assert page.evaluate("pauses") == [pytest.approx(seconds, rel=0.25) for seconds in (1, 3, 9, 27)]


@pytest.mark.parametrize("status", [404, 422, 500])
def test_other_failures_are_final(page: Page, service: Service, complaints: Complaints, status: int) -> None:
    complaints.expect(f"{status} (")

    frame, requests = open_failing(page, service, *[status] * 10)

    expect(frame).to_have_attribute("data-image", "failed")
    assert requests == ["GET"]
    assert page.evaluate("pauses") == []
