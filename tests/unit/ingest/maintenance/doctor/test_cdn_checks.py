"""The CDN as the doctor sees it: one that is right, and each way in which one is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message

import pytest

from ingest.maintenance.doctor import cdn_checks as checks
from ingest.maintenance.doctor.findings import CheckResult, Verdict
from ingest.maintenance.doctor.http_client import Answer
from proxy.model import new_upload_id, parse_upload_id
from proxy.storage.memory import MemoryStore
from proxy.variants.encoded_variant import CACHE_CONTROL
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
    """Answers every path alike, and one with a query as `queried` says."""

    plain: Answer
    queried: Answer | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(self, url: str) -> Answer:
        self.asked.append(url)
        return self.queried if self.queried and "?" in url else self.plain


async def missing(plain: Answer, url: str = URL) -> CheckResult:
    return await checks.missing_picture(url, SIZES, FakeCdn(plain))


async def test_a_picture_that_never_was_is_asked_for_by_a_name_that_could_be() -> None:
    cdn = FakeCdn(answer(404, PROBLEM))

    judged = await checks.missing_picture(URL, SIZES, cdn)

    assert judged.verdict is Verdict.OK
    [asked] = cdn.asked
    prefix, upload_id, name = asked.rsplit("/", 2)
    assert prefix == f"{URL}/images"
    assert parse_upload_id(upload_id)
    assert SIZES.parse(name)


async def test_without_tls_it_works_and_is_warned_of() -> None:
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
async def test_what_is_wrong_with_a_missing_picture_is_said(plain: Answer, words: str) -> None:
    judged = await missing(plain)

    assert judged.verdict is Verdict.FAILED
    assert words in judged.remark


async def stored(cdn: FakeCdn, *, name: str = "small.webp") -> CheckResult:
    store = MemoryStore()
    await store.put("images/of-another-program", b"", content_type="image/webp")
    await store.put(f"images/{new_upload_id()}/bygone.webp", b"", content_type="image/webp")
    await store.put(f"images/{new_upload_id()}/{name}", b"picture", content_type="image/webp")
    return await checks.stored_picture(URL, SIZES, store, cdn)


async def test_a_stored_variant_is_asked_for_with_a_query_and_without() -> None:
    cdn = FakeCdn(answer(200, PICTURE, b"picture"))

    assert (await stored(cdn)).verdict is Verdict.OK
    plain, queried = cdn.asked
    assert plain.endswith("/small.webp")
    assert plain.startswith(f"{URL}/images/")
    assert queried.startswith(f"{plain}?doctor=")


async def test_the_order_and_the_case_of_what_may_be_kept_do_not_matter() -> None:
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
async def test_what_is_wrong_with_a_stored_one_is_said(plain: Answer, words: str) -> None:
    judged = await stored(FakeCdn(plain))

    assert judged.verdict is Verdict.FAILED
    assert words in judged.remark
    assert "docs/deploy.md" in judged.remark


@pytest.mark.parametrize("queried", [answer(404, PROBLEM), answer(200, PICTURE, b"another")])
async def test_a_query_must_change_nothing(queried: Answer) -> None:
    judged = await stored(FakeCdn(answer(200, PICTURE, b"picture"), queried))

    assert judged.verdict is Verdict.FAILED
    assert "leave queries out" in judged.remark


async def test_where_no_variant_of_todays_is_stored_nothing_is_asked() -> None:
    cdn = FakeCdn(answer(500, {}))

    judged = await stored(cdn, name="bygone.jpg")

    assert judged.verdict is Verdict.OK
    assert "no variant is stored yet" in judged.remark
    assert cdn.asked == []


async def test_a_tag_that_nothing_carries_is_invalidated() -> None:
    cdn = RecordingCdn()

    assert (await checks.invalidations(cdn)).verdict is Verdict.OK
    [tag] = cdn.forgotten
    assert tag.startswith("doctor-")
