"""A browser that posts the form without JavaScript gets a page; other clients get JSON."""

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

import httpx
import pytest

from proxy.web.negotiation import prefers_page
from tests.camera import camera_exif
from tests.photographs import photograph
from tests.pictures import jpeg
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
NASTY = '"><script>alert(1)</script>'


@dataclass
class Page(HTMLParser):
    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    words: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(answer: httpx.Response) -> Page:
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    policy = dict(part.strip().partition(" ")[::2] for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert set(policy) == {"default-src", "img-src", "style-src", "base-uri", "form-action", "frame-ancestors"}
    assert "unsafe" not in answer.headers["content-security-policy"]
    found = Page(answer.text)
    assert found.every("html") == [{"lang": "en"}]
    assert found.every("script") == []
    assert [attributes for _, attributes in found.tags if "style" in attributes] == []
    assert {"href": "../page/style.css", "rel": "stylesheet"} in found.every("link")
    assert found.every("a")[-1] == {"href": "../"}  # from /images/upload
    return found


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (BROWSER, True),
        ("text/html", True),
        ("text/html, application/json;q=0.9", True),
        ("TEXT/HTML;charset=utf-8", True),
        (None, False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("application/json, text/plain, */*", False),
        ("application/json;q=0.5, text/html;q=0.5", False),
        ("text/html;q=0", False),
        ("text/*", False),
        ("text/html;q=0.5, */*", False),
        ("", False),
    ],
)
async def test_accept_header_selects_page_or_json(accept: str | None, html: bool) -> None:
    assert prefers_page(accept) is html


@pytest.mark.heavy
async def test_accepted_image_is_shown_with_all_urls(service: Service) -> None:
    answer = await service.upload(image_bytes(), accept=BROWSER)

    assert answer.status_code == 201
    upload_id = answer.headers["location"].removeprefix("/images/")
    found = page(answer)
    document = (await service.get(f"/images/{upload_id}")).json()
    [image] = found.every("img")
    assert image["src"] == document["urls"]["large"]["jpg"]
    assert image["alt"]
    assert [source["type"] for source in found.every("source")] == ["image/avif", "image/webp"]
    urls = [url for formats in document["urls"].values() for url in formats.values()]
    assert [link["href"] for link in found.every("a")] == [*urls, "../"]
    for url in urls:
        assert (await service.get(url)).status_code == 200
    assert "small" in found.words
    assert "150 by 150" in found.words


async def test_page_lists_private_metadata(service: Service) -> None:
    file = jpeg(photograph("coffee.png"), exif=camera_exif(), comment=b"at home")

    stripped = page(await service.upload(file, accept=BROWSER)).words
    kept = page(await service.configured(strip_metadata=False).upload(file, accept=BROWSER)).words
    plain = page(await service.upload(image_bytes(), accept=BROWSER)).words

    everything = "where it was taken, serial numbers, when it was taken, camera and program"
    assert f"Variants do not carry: {everything}, comments." in stripped
    assert "Variants keep" not in stripped
    assert "Variants do not carry: comments." in kept
    assert f"Variants keep: {everything}." in kept
    assert "Variants" not in plain


@pytest.mark.parametrize(
    ("file", "status", "words"),
    [(b"GIF89a" + bytes(99), 400, "JPEG, PNG or WebP"), (image_bytes(99, 300), 422, "99x300")],
)
async def test_refusal_page_shows_the_reason(service: Service, file: bytes, status: int, words: str) -> None:
    answer = await service.upload(file, accept=BROWSER)

    assert answer.status_code == status
    found = page(answer)
    assert words in found.words
    assert str(status) in found.words
    assert "urn:" not in answer.text


async def test_early_refusal_is_a_page(service: Service) -> None:
    answer = await service.upload(bytes(2 << 20), accept=BROWSER)

    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"
    assert "at most 1 MB" in page(answer).words


async def test_unauthorized_is_a_page_for_the_form_only(service: Service) -> None:
    locked = service.configured(api_keys=("first-first-first",))

    refused = await locked.upload(image_bytes(), accept=BROWSER)

    assert refused.status_code == 401
    assert refused.headers["www-authenticate"].startswith("Bearer")
    assert "API key" in page(refused).words
    assert (await locked.get("/images", accept=BROWSER)).headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("accept", ["*/*", "application/json"])
async def test_other_clients_get_json_with_vary(service: Service, accept: str) -> None:
    taken, refused = await service.upload(image_bytes(), accept=accept), await service.upload(b"GIF89a", accept=accept)

    assert taken.headers["content-type"] == "application/json"
    assert refused.headers["content-type"] == "application/problem+json"
    assert taken.headers["vary"] == refused.headers["vary"] == "Accept"


async def test_lines_of_a_repeated_accept_count_together(service: Service) -> None:
    lines = [("accept", "application/json;q=0.5"), ("accept", "text/html")]
    async with service.client({}) as client:
        answer = await client.post("/images/upload", headers=lines, files={"image": b"no image"})

    page(answer)


async def test_policy_allows_images_of_the_cdn_only(service: Service) -> None:
    elsewhere = service.configured(cdn_url="https://cdn.test:8443/pictures")

    answer = await elsewhere.upload(image_bytes(), accept=BROWSER)

    found = page(answer)
    assert "img-src 'self' https://cdn.test:8443;" in answer.headers["content-security-policy"]
    assert str(found.every("img")[0]["src"]).startswith("https://cdn.test:8443/pictures/images/")
    assert "img-src 'self';" in (await service.upload(image_bytes(), accept=BROWSER)).headers["content-security-policy"]


async def test_configured_values_are_escaped(service: Service) -> None:
    odd = service.configured(cdn_url="https://cdn.test/a&lt;b")

    text = (await odd.upload(image_bytes(), accept=BROWSER)).text

    assert "a&amp;lt;b" in text
    assert not re.search(r"a&lt;b", text)


async def test_sent_values_are_escaped(service: Service) -> None:
    async with service.client({"accept": BROWSER, "idempotency-key": NASTY}) as client:
        answer = await client.post("/images/upload", files={NASTY: (NASTY, image_bytes(), NASTY)})

    assert answer.status_code == 400
    assert "<script" not in answer.text
    page(answer)
