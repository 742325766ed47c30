"""`/docs` in a real browser: it obeys its policy, loads from this server only, and shows every call."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.conftest import SIDES, OpenPage
from tests.photographs import photograph_bytes


def test_docs_show_every_call(open_page: OpenPage) -> None:
    page = open_page("/docs", color_scheme="dark")
    expect(page.get_by_role("heading", name="Darkroom")).to_be_visible()
    assert page.locator("html").evaluate("html => getComputedStyle(html).backgroundColor") == "rgb(28, 32, 34)"
    page.emulate_media(color_scheme="light")
    expect(page.locator("html")).not_to_have_class("dark-mode")
    described = page.evaluate(
        "async () => Object.values((await (await fetch('/openapi.json')).json()).paths)"
        ".flatMap((path) => Object.keys(path)).filter((key) => key !== 'parameters').length"
    )
    expect(page.locator(".opblock")).to_have_count(described)
    page.get_by_role("link", name="Upload page").click()
    expect(page.get_by_role("heading", name="One upload.")).to_be_visible()


@pytest.mark.slow
def test_docs_show_parameters_and_problems_of_a_call(open_page: OpenPage) -> None:
    page = open_page("/docs#/Variants/getVariant")
    call = page.locator("#operations-Variants-getVariant")

    expect(call.locator("[data-param-name=size] option")).to_have_count(9)
    expect(call.get_by_text("derivation_timeout").first).to_be_visible()


@pytest.mark.long
def test_docs_can_be_read_on_a_phone_in_both_schemes(open_page: OpenPage) -> None:
    page = open_page("/docs#/Uploads/upload", color_scheme="dark", viewport={"width": 390, "height": 900})
    upload = page.locator("#operations-Uploads-upload")
    upload.get_by_role("button", name="Try it out").click()
    expect(upload.get_by_role("button", name="Execute")).to_be_visible()

    assert page.evaluate("document.documentElement.scrollWidth") == 390
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        expect(page.locator("html.dark-mode")).to_have_count(int(scheme == "dark"))
        # The other rules are about Swagger UI's elements, which no style sheet can mend.
        results = Axe().run(page, options={"runOnly": ["color-contrast"]})
        assert results.violations_count == 0, results.generate_report()


@pytest.mark.slow
def test_docs_upload_an_image_and_show_a_variant(open_page: OpenPage) -> None:
    page = open_page("/docs#/Uploads/upload")
    upload = page.locator("#operations-Uploads-upload")
    upload.get_by_role("button", name="Try it out").click()
    picture = {"name": "coffee.png", "mimeType": "image/png", "buffer": photograph_bytes("coffee.png")}
    upload.locator("input[type=file]").set_input_files(picture)
    upload.get_by_role("button", name="Execute").click()
    answer = upload.locator(".live-responses-table")
    expect(answer.locator(".response-col_status").filter(has_text="201")).to_be_visible()
    upload_id = page.evaluate("async () => (await (await fetch('/images')).json()).images[0].uploadId")

    page.goto("/docs#/Variants/getVariant")
    page.reload()
    variant = page.locator("#operations-Variants-getVariant")
    variant.get_by_role("button", name="Try it out").click()
    variant.locator("[data-param-name=uploadId] input").fill(upload_id)
    variant.locator("[data-param-name=format] select").select_option("webp")
    variant.get_by_role("button", name="Execute").click()
    shown = variant.locator(".live-responses-table img")
    expect(shown).to_be_visible()
    assert shown.evaluate("async (image) => { await image.decode(); return image.naturalWidth; }") == SIDES["small"]
