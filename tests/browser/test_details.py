"""The details of an upload: they show the API's data, and copied text works."""

import json
import re
from functools import partial

import pytest
from playwright.sync_api import Page, Route, expect

from darkroom import picture_html
from tests.browser.conftest import SIDES
from tests.browser.visits import Complaints, choose, screenshot, wait_for_image, wait_for_upload, wait_for_warm_up
from tests.http_client import http
from tests.photographs import photograph_bytes
from tests.pictures import disc, png
from tests.service import Service


@pytest.fixture(scope="module")
def upload_id(service: Service) -> str:
    """A photograph whose warm-up is complete."""
    files = {"image": ("coffee.png", photograph_bytes("coffee.png"))}
    upload_id = str(http.post(f"{service.url}/images/upload", files=files).json()["uploadId"])
    http.get(f"{service.url}/images/{upload_id}/events")  # ends with the job
    return upload_id


@pytest.fixture
def details_page(page: Page, upload_id: str) -> Page:
    """The page with that photograph open."""
    page.goto(f"/#{upload_id}")
    wait_for_warm_up(page)
    return page


def _fulfill(body: str, route: Route) -> None:
    route.fulfill(body=body, content_type="application/json")


def test_gallery_shows_the_variants_of_the_api(details_page: Page, service: Service, upload_id: str) -> None:
    upload = http.get(f"{service.url}/images/{upload_id}").json()
    variants = http.get(f"{service.url}/images/{upload_id}/status").json()["variants"]
    urls = {f"{size}.{format}": url for size, formats in upload["urls"].items() for format, url in formats.items()}

    shown = {}
    for card in details_page.locator(".card").all():
        image = card.get_by_role("img")
        name = image.get_attribute("alt")
        if name.endswith("png"):
            continue
        wait_for_image(image)
        assert image.get_attribute("src") == card.get_by_role("link").get_attribute("href") == urls[name]
        shown[name] = {
            part: float(card.locator(f"data[data-part={part}]").get_attribute("value"))
            for part in ("bytes", "milliseconds")
        }
        side = SIDES[name.split(".")[0]]
        expect(card.locator("[data-part=pixels]")).to_have_text(f"{side} × {side}")
        expect(card.locator("h5")).to_have_text(name.split(".")[1])
    assert shown == {name: {key: known[key] for key in ("bytes", "milliseconds")} for name, known in variants.items()}
    screenshot(details_page, "picture-light")


@pytest.mark.slow
def test_variants_outside_the_warm_up_are_derived_only_on_demand(
    details_page: Page, service: Service, upload_id: str
) -> None:
    card = details_page.locator(".card").filter(has=details_page.get_by_role("img", name="medium.png"))
    image, button = card.get_by_role("img"), card.get_by_role("button", name="Derive and show medium.png")
    wait_for_image(details_page.get_by_role("img", name="large.avif").last)
    for name in ("small", "medium", "large"):
        assert details_page.locator(f"img[alt='{name}.png']").get_attribute("src") is None
    assert service.metric("darkroom_derivations_total", format="png") == 0

    button.click()

    wait_for_image(image)
    expect(button).to_be_hidden()
    expect(card.get_by_role("link")).to_be_focused()
    size = len(http.get(f"{service.url}{image.get_attribute('src')}").content)
    expect(card.locator("data[data-part=bytes]")).to_have_attribute("value", str(size))
    expect(card.locator("[data-part=pixels]")).to_have_text("90 × 90")
    assert service.metric("darkroom_derivations_total", format="png") == 1


@pytest.mark.slow
def test_transparent_upload_is_compared_with_its_png(page: Page, service: Service) -> None:
    files = {"image": ("disc.png", png(disc((200, 30, 30))))}
    upload_id = str(http.post(f"{service.url}/images/upload", files=files).json()["uploadId"])
    page.goto(f"/#{upload_id}")
    wait_for_warm_up(page)

    expect(page.get_by_role("slider")).to_have_attribute("aria-valuetext", "50% png, 50% avif")
    expect(page.locator("#details [data-part=warmup]")).to_contain_text("9 of 9 variants ready")
    wait_for_image(page.locator(".card").get_by_role("img", name="small.png"))
    assert http.get(f"{service.url}/images/{upload_id}/small.png").headers["cache-status"] == "darkroom; hit"


@pytest.mark.slow
def test_comparison_and_list_offer_the_formats_that_a_size_has(page: Page, service: Service, upload_id: str) -> None:
    document = http.get(f"{service.url}/images/{upload_id}").json()
    small, large = document["urls"]["small"], document["urls"]["large"]
    urls = {
        "small": {"png": small["png"], "avif": small["avif"]},
        "large": {"jpg": large["jpg"], "webp": large["webp"]},
    }
    page.route(f"**/images/{upload_id}", partial(_fulfill, json.dumps(document | {"urls": urls})))
    page.goto(f"/#{upload_id}")
    compare = page.get_by_role("region", name="Compare")
    slider = page.get_by_role("slider")
    expect(slider).to_have_attribute("aria-valuetext", "50% jpg, 50% webp")

    compare.get_by_label("Size").select_option("small")

    assert compare.get_by_label("Left").get_by_role("option").all_text_contents() == ["png", "avif"]
    wait_for_image(compare.get_by_role("img", name="small.avif"))
    expect(page.locator(".card h5")).to_have_text(["png", "avif", "jpg", "webp"])


@pytest.mark.slow
def test_facts_show_the_upload(details_page: Page, upload_id: str) -> None:
    facts = details_page.locator("#details .facts")
    size = len(photograph_bytes("coffee.png"))

    expect(facts.locator("[data-part=id]")).to_have_text(upload_id)
    expect(facts.locator("[data-part=original]")).to_have_text(f"PNG, 300 × 200, {size / 1000:.3g} kB")
    expect(facts.locator("[data-part=color]")).to_have_text(re.compile("#[0-9a-f]{6}"))


@pytest.mark.slow
def test_privacy_of_the_upload_is_shown_as_text(page: Page, service: Service, upload_id: str) -> None:
    document = http.get(f"{service.url}/images/{upload_id}").json()
    for privacy, words in (
        ({"removed": ["location", "author"]}, "Removed from the variants: location, author."),
        ({"removed": [], "kept": ["device"]}, "Kept in the variants: device."),
        ({"removed": []}, "The original has no private metadata."),
    ):
        body = json.dumps(document | {"privacy": privacy})
        page.route(f"**/images/{upload_id}", partial(_fulfill, body))
        page.goto("/")
        page.goto(f"/#{upload_id}")
        expect(page.locator("#details [data-part=privacy]")).to_have_text(words)
        page.unroute_all()


@pytest.mark.slow
def test_slider_works_by_keyboard(details_page: Page, service: Service, upload_id: str) -> None:
    variants = http.get(f"{service.url}/images/{upload_id}/status").json()["variants"]
    slider = details_page.get_by_role("slider")
    compare = details_page.get_by_role("region", name="Compare")
    expect(slider).to_have_attribute("aria-valuetext", "50% jpg, 50% avif")

    slider.focus()
    slider.press("ArrowRight")
    expect(slider).to_have_attribute("aria-valuetext", "51% jpg, 49% avif")
    slider.press("Home")
    left = compare.get_by_role("img", name="large.jpg")
    assert left.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 100% 0px 0px)"
    slider.press("End")
    assert left.evaluate("image => getComputedStyle(image).clipPath") == "inset(0px 0% 0px 0px)"

    saved = variants["large.jpg"]["bytes"] - variants["large.avif"]["bytes"]
    share = round(100 * abs(saved) / max(variants[f"large.{format}"]["bytes"] for format in ("jpg", "avif")))
    expect(compare).to_contain_text(f"({share}%) compared with {'JPG' if saved > 0 else 'AVIF'}.")


@pytest.mark.slow
def test_comparison_offers_size_and_formats(details_page: Page) -> None:
    compare = details_page.get_by_role("region", name="Compare")
    compare.get_by_label("Size").select_option("small")
    compare.get_by_label("Left").select_option("png")
    compare.get_by_label("Right").select_option("webp")

    for name in ("small.png", "small.webp"):
        wait_for_image(compare.get_by_role("img", name=name))
    expect(compare).to_contain_text(re.compile(r"WEBP saves [\d.]+ kB \(\d\d%\) compared with PNG\."))
    compare.get_by_label("Right").select_option("png")
    expect(compare).to_contain_text("Choose two different formats.")

    image, viewport = compare.get_by_role("img", name="large.avif"), compare.get_by_role("group", name="Both images")
    details_page.set_viewport_size({"width": 320, "height": 700})  # narrower than the image
    compare.get_by_label("Size").select_option("large")
    compare.get_by_label("Right").select_option("avif")
    wait_for_image(image)
    details_page.evaluate("document.querySelector('.viewport').style.maxWidth = '80px'")
    compare.get_by_label("1:1 pixels").check()
    assert image.evaluate("image => image.getBoundingClientRect().width * devicePixelRatio") == SIDES["large"]
    viewport.evaluate("viewport => viewport.scrollTo(40, 0)")
    split = "() => document.querySelector('.layers').style.getPropertyValue('--split')"
    # As a function: Playwright evaluates a string again and again, which the page's policy forbids.
    details_page.wait_for_function(f"() => parseFloat(({split})()) > 50")
    assert float(details_page.evaluate(split).rstrip("%")) == pytest.approx(100 * (40 + 40) / 120, abs=0.5)
    expect(viewport).to_have_attribute("tabindex", "0")


@pytest.mark.slow
def test_copied_snippet_renders_on_another_page(details_page: Page, service: Service, upload_id: str) -> None:
    copy = details_page.get_by_role("button", name="Copy snippet")
    alt, code = """A "cup" & <b>$&</b>""", details_page.locator("#details [data-part=code]")
    details_page.get_by_label("Alternative text").fill(alt)
    details_page.get_by_label("Width on your page").fill("(min-width: 40em) 50vw, 100vw")
    written = picture_html(
        http.get(f"{service.url}/images/{upload_id}").json(), "(min-width: 40em) 50vw, 100vw", alt=alt
    )
    assert code.inner_text().replace("\n", "") == written
    details_page.get_by_label("Alternative text").fill("")
    details_page.get_by_label("Width on your page").fill("")
    copy.click()
    expect(details_page.get_by_role("status")).to_have_text("Copied")
    expect(details_page.locator("#details .embed button")).to_have_text("Copied")
    copied = details_page.evaluate("navigator.clipboard.readText()")
    document = http.get(f"{service.url}/images/{upload_id}").json()
    assert copied.replace("\n", "") == document["picture"]

    details_page.route("**/pasted", lambda route: route.fulfill(content_type="text/html", body=copied))
    details_page.goto(f"{service.url}/pasted")
    image = details_page.locator("picture > img")
    wait_for_image(image)
    assert image.evaluate("image => image.currentSrc").endswith("/large.avif")
    assert (image.get_attribute("width"), image.get_attribute("height")) == ("120", "120")
    assert "w, " in image.get_attribute("srcset")


@pytest.mark.slow
def test_copied_url_of_a_variant_is_absolute(details_page: Page, service: Service, upload_id: str) -> None:
    details_page.get_by_role("button", name="Copy the URL of medium.webp").click()
    expect(details_page.get_by_role("status")).to_have_text("Copied")

    assert details_page.evaluate("navigator.clipboard.readText()") == f"{service.url}/images/{upload_id}/medium.webp"


@pytest.mark.slow
def test_unknown_upload_shows_the_problem(page: Page, complaints: Complaints) -> None:
    complaints.expect("404 (Not Found)")
    page.goto("/#8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")

    expect(page.locator("#details .problem")).to_contain_text("No such upload")
    expect(page.locator("#details [data-part=content]")).to_be_hidden()


@pytest.mark.slow
def test_going_back_closes_the_details(page: Page) -> None:
    choose(page, "chelsea.png")
    wait_for_upload(page)
    page.go_back()

    expect(page.locator("#details")).to_be_hidden()
