"""Accessibility: keyboard, screen reader, phone, dark mode."""

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import OpenPage, small_service
from tests.browser.visits import Complaints, choose, item, screenshot, wait_for_warm_up
from tests.photographs import photograph_bytes
from tests.service import Service

pytestmark = pytest.mark.slow

PHONE = {"width": 360, "height": 740}
LIGHTNESS = """element => {
    const [red, green, blue] = getComputedStyle(element).backgroundColor.match(/[\\d.]+/g).map(Number)
    return (0.2126 * red + 0.7152 * green + 0.0722 * blue) / 255
}"""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with small_service(tmp_path_factory.mktemp("access")) as running:
        yield running


def fill_page(page: Page) -> None:
    """Fills the page with accepted and rejected uploads, an open upload, and recent ones."""
    choose(page, "coffee.png", "astronaut.png")
    refused = {"name": f"{'a very long name ' * 6}.txt", "mimeType": "text/plain", "buffer": b"no picture"}
    page.get_by_label("Drop images here").set_input_files(refused)
    expect(page.locator("#queue > [data-state=rejected]")).to_have_count(1)
    wait_for_warm_up(page)


def test_color_scheme_decides_the_background(open_page: OpenPage) -> None:
    shades = {}
    for scheme in ("dark", "light"):
        page = open_page(color_scheme=scheme)
        shades[scheme] = page.locator("html").evaluate(LIGHTNESS)
        screenshot(page, f"start-{scheme}")
    assert shades["dark"] < 0.1
    assert shades["light"] > 0.9


@pytest.mark.parametrize(
    ("scheme", "width"),
    [
        ("dark", 390),
        ("light", 390),
        ("light", 1280),
        pytest.param("dark", 1280, marks=pytest.mark.long),
    ],
)
def test_axe_finds_no_violation(open_page: OpenPage, complaints: Complaints, scheme: str, width: int) -> None:
    complaints.expect("400 (Bad Request)")
    page = open_page(color_scheme=scheme, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    assert_accessible(page)
    fill_page(page)
    assert_accessible(page)
    screenshot(page, f"{scheme}-{width}")
    page.evaluate("for (const section of document.querySelectorAll('details')) section.open = true")
    page.locator("#recent").get_by_role("checkbox").first.check()
    assert_accessible(page)
    screenshot(page, f"{scheme}-{width}-sections")
    page.get_by_role("button", name="Delete this upload").click()
    assert_accessible(page)


def assert_accessible(page: Page) -> None:
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()


def test_phone_screen_does_not_scroll_sideways_and_has_large_targets(
    open_page: OpenPage, complaints: Complaints
) -> None:
    complaints.expect("400 (Bad Request)")
    page = open_page(viewport=PHONE, has_touch=True, is_mobile=True)
    expect(page.get_by_text("Tap to choose images")).to_be_visible()
    expect(page.get_by_text("Drop images here")).to_be_hidden()
    fill_page(page)

    assert page.evaluate("document.documentElement.scrollHeight") < 3500
    page.evaluate("for (const section of document.querySelectorAll('details')) section.open = true")

    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    targets = "button, select, summary, .button, nav a, .select, .switch, input[type=search], input[type=text]"
    for target in page.locator(targets).filter(visible=True).all():
        assert target.bounding_box()["height"] >= 44, target.inner_text()


def test_keyboard_reaches_every_action(page: Page, complaints: Complaints) -> None:
    page.on("filechooser", lambda _: None)  # listens before the key press: afterwards may be too late
    tab_to(page, page.locator("#image"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files({"name": "coffee.png", "mimeType": "image/png", "buffer": photograph_bytes("coffee.png")})
    complaints.allow_missing(wait_for_warm_up(page))

    tab_to(page, item(page, "coffee.png").get_by_role("link"))
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("slider"))
    page.keyboard.press("PageUp")
    expect(page.get_by_role("slider")).not_to_have_value("50")
    tab_to(page, page.get_by_role("button", name="Copy snippet"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Copied")

    delete = page.get_by_role("button", name="Delete this upload")
    tab_to(page, delete)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Keep it")).to_be_focused()
    page.keyboard.press("Enter")
    expect(delete).to_be_focused()
    page.keyboard.press("Enter")
    tab_to(page, page.get_by_role("button", name="Delete it"))
    page.keyboard.press("Enter")
    expect(page.locator("#image")).to_be_focused()


def tab_to(page: Page, target: Locator) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if target.evaluate("element => element === document.activeElement"):
            outlined = target.evaluate(
                "element => [element, element.parentElement].some(e => getComputedStyle(e).outlineStyle === 'solid')"
            )
            assert outlined, "the focus cannot be seen"
            return
    raise AssertionError(f"the keyboard does not reach {target}")


def test_reduced_motion_disables_animations(open_page: OpenPage) -> None:
    page = open_page(reduced_motion="reduce")
    choose(page, "coffee.png")
    wait_for_warm_up(page)

    assert page.evaluate("document.getAnimations().length") == 0


def test_page_has_one_polite_live_region(page: Page) -> None:
    expect(page.locator("[aria-live], [role=status]")).to_have_count(1)
    choose(page, "coffee.png")
    wait_for_warm_up(page)
    expect(page.locator("[aria-live], [role=status]")).to_have_count(1)
