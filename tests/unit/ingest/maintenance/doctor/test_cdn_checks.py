"""The CDN checks: a correct CDN, and each misconfiguration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

import pytest

from ingest.maintenance.doctor import cdn_checks as checks
from ingest.maintenance.doctor.findings import CheckResult, Verdict
from ingest.maintenance.doctor.http_client import Answer
from proxy.model import new_upload_id, parse_upload_id
from proxy.variants.encoded_variant import CACHE_CONTROL, UPLOAD_TAG
from tests.memory_store import MemoryStore
from tests.unit.ingest.examples import SIZES
from tests.unit.ingest.fakes import RecordingCdn

URL = "https://cdn.example/pictures"
PROBLEM = {"Content-Type": "application/problem+json", "Cache-Control": "public, max-age=60"}
PICTURE = {"Content-Type": "image/webp", "Cache-Control": CACHE_CONTROL, "X-Content-Type-Options": "nosniff"}


def answer(status: int, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return Answer(status, message, body)


@dataclass
class FakeCdn:
    """Gives every path the same answer, and `queried` to URLs with a query."""

    plain: Answer
    queried: Answer | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, url: str) -> Answer:
        self.asked.append(url)
        return self.queried if self.queried and "?" in url else self.plain


async def missing(plain: Answer, url: str = URL) -> CheckResult:
    return await checks.missing_variant(url, SIZES, FakeCdn(plain))


async def test_missing_variant_requests_a_valid_variant_of_an_unknown_upload() -> None:
    cdn = FakeCdn(answer(404, PROBLEM))

    judged = await checks.missing_variant(URL, SIZES, cdn)

    assert judged.verdict is Verdict.OK
    [asked] = cdn.asked
    prefix, upload_id, name = asked.rsplit("/", 2)
    assert prefix == f"{URL}/images"
    assert parse_upload_id(upload_id)
    assert SIZES.parse(name)


async def test_plain_http_warns() -> None:
    judged = await missing(answer(404, PROBLEM), "http://cdn.example")

    assert judged.verdict is Verdict.WARNING
    assert "https://" in judged.remark


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (answer(403, {"Content-Type": "application/xml"}), "answers 403, not 404"),
        (answer(200, PICTURE), "answers 200, not 404"),
        (answer(502, {}), "answers 502, not 404"),
        (answer(301, {"Location": "https://www.example/"}), "redirects to https://www.example/: set CDN_URL"),
        (answer(404, PROBLEM | {"Content-Type": "text/html"}), "other than Darkroom"),
        (answer(404, PROBLEM | {"Cache-Control": "public, max-age=86400"}), "keep a 404 for 86400 s"),
    ],
)
async def test_missing_variant_fault_fails_and_is_named(plain: Answer, words: str) -> None:
    judged = await missing(plain)

    assert judged.verdict is Verdict.FAILED
    assert words in judged.remark


async def stored(cdn: FakeCdn, *, name: str = "small.webp") -> CheckResult:
    store = MemoryStore()
    await store.put("images/of-another-program", b"", content_type="image/webp")
    await store.put(f"images/{new_upload_id()}/bygone.webp", b"", content_type="image/webp")
    await store.put(f"images/{new_upload_id()}/{name}", b"picture", content_type="image/webp")
    return await checks.stored_variant(URL, SIZES, store, cdn)


async def test_stored_variant_is_requested_with_and_without_query() -> None:
    cdn = FakeCdn(answer(200, PICTURE, b"picture"))

    assert (await stored(cdn)).verdict is Verdict.OK
    plain, queried = cdn.asked
    assert plain.endswith("/small.webp")
    assert plain.startswith(f"{URL}/images/")
    assert queried.startswith(f"{plain}?doctor=")


async def test_cache_control_order_and_case_do_not_matter() -> None:
    headers = PICTURE | {"Cache-Control": "Immutable,  max-age=31536000,public"}

    assert (await stored(FakeCdn(answer(200, headers)))).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("plain", "words"),
    [
        (answer(403, {}), "it answers 403"),
        (answer(200, PICTURE | {"Content-Type": "binary/octet-stream"}), "Content-Type is binary/octet-stream"),
        (answer(200, PICTURE | {"Cache-Control": "public, max-age=86400"}), f"not {CACHE_CONTROL}"),
        (answer(200, {"Content-Type": "image/webp", "Cache-Control": CACHE_CONTROL}), "Options is missing"),
    ],
)
async def test_stored_variant_fault_fails_and_is_named(plain: Answer, words: str) -> None:
    judged = await stored(FakeCdn(plain))

    assert judged.verdict is Verdict.FAILED
    assert words in judged.remark
    assert "docs/deploy.md" in judged.remark


@pytest.mark.parametrize("queried", [answer(404, PROBLEM), answer(200, PICTURE, b"another")])
async def test_response_that_depends_on_query_fails(queried: Answer) -> None:
    judged = await stored(FakeCdn(answer(200, PICTURE, b"picture"), queried))

    assert judged.verdict is Verdict.FAILED
    assert "leave queries out" in judged.remark


async def test_check_without_a_stored_variant_is_skipped_without_request() -> None:
    cdn = FakeCdn(answer(500, {}))

    judged = await stored(cdn, name="bygone.jpg")

    assert judged.verdict is Verdict.SKIPPED
    assert "no variant is stored yet" in judged.remark
    assert cdn.asked == []


async def test_invalidation_uses_the_tag_of_an_unknown_upload() -> None:
    """nginx's caches know no other tags."""
    cdn = RecordingCdn()

    assert (await checks.invalidations(cdn)).verdict is Verdict.OK
    [tag] = cdn.invalidated
    assert parse_upload_id(tag.removeprefix(UPLOAD_TAG)) is not None
