"""What servers answer to the announcement of the largest upload, and the doctor's result."""

from email.message import Message

import pytest

from ingest.maintenance.doctor.findings import Verdict
from ingest.maintenance.doctor.http_client import Answer
from ingest.maintenance.doctor.upload_checks import limit
from proxy.errors import Unavailable

URL = "https://pictures.example/media"
PROBLEM = "application/problem+json"


def answer(status: int, **fields: str) -> Answer:
    headers = Message()
    for name, value in fields.items():
        headers[name.replace("_", "-")] = value
    return Answer(status, headers)


async def judged(said: Answer | Unavailable | None) -> tuple[Verdict, str]:
    async def announce(url: str, length: int) -> Answer | None:
        assert (url, length) == (f"{URL}/images/upload", (10 << 20) + 65_536)
        if isinstance(said, Unavailable):
            raise said
        return said

    result = await limit(URL, 10, announce)
    return result.verdict, result.remark


@pytest.mark.parametrize(
    "said",
    [answer(100), *(answer(status, content_type=PROBLEM) for status in (400, 408))],
    ids=lambda said: str(said.status),
)
async def test_server_that_accepts_the_length_is_ok(said: Answer) -> None:
    assert await judged(said) == (Verdict.OK, f"{URL}/images/upload accepts 10 MB")


@pytest.mark.parametrize("status", [401, 403])
async def test_server_that_asks_for_a_key_first_is_not_reported_to_accept_the_length(status: int) -> None:
    assert await judged(answer(status, content_type=PROBLEM)) == (
        Verdict.OK,
        f"servers in front of {URL}/images/upload let 10 MB pass; Darkroom's own limit shows only with a key",
    )


@pytest.mark.parametrize(
    ("said", "verdict", "words"),
    [
        (
            answer(413, server="nginx/1.22.1", content_type="text/html"),
            Verdict.FAILED,
            "refuses uploads of 10 MB (nginx/1.22.1)",
        ),
        (answer(413), Verdict.FAILED, "client_max_body_size 11m"),
        (answer(413, content_type=PROBLEM), Verdict.FAILED, "set the same MAX_UPLOAD_MB there"),
        (answer(301, location="https://other.example/"), Verdict.WARNING, "redirects to https://other.example/, "),
        (answer(404, server="Caddy"), Verdict.WARNING, "answers 404, and not Darkroom (Caddy)"),
        (answer(200), Verdict.WARNING, "(it does not name itself)"),
        (answer(403, server="CloudFront"), Verdict.WARNING, "answers 403, and not Darkroom (CloudFront)"),
        (
            answer(404, content_type=PROBLEM),
            Verdict.WARNING,
            "404 to an announced upload: uploads are not accepted there",
        ),
        (answer(405, content_type=PROBLEM), Verdict.WARNING, "a server with the role `ingest` or `all`"),
        (
            answer(421, content_type=PROBLEM),
            Verdict.WARNING,
            "upload: Darkroom does not accept the `Host`",
        ),
        (answer(431, content_type=PROBLEM), Verdict.WARNING, "answers 431 to an announced upload: open PUBLIC_URL"),
        (answer(429, server="nginx"), Verdict.SKIPPED, f"could not tell: {URL}/images/upload answers 429 (nginx)"),
        (answer(502, server="nginx"), Verdict.SKIPPED, "answers 502 (nginx)"),
        (answer(503, content_type=PROBLEM), Verdict.SKIPPED, "answers 503"),
    ],
)
async def test_other_answers_name_the_remedy(said: Answer, verdict: Verdict, words: str) -> None:
    found, remark = await judged(said)

    assert found is verdict
    assert words in remark


async def test_server_that_waits_for_the_body_is_not_judged() -> None:
    verdict, remark = await judged(None)

    assert verdict is Verdict.SKIPPED
    assert remark == f"{URL}/images/upload answers whole uploads only: try an image of 10 MB"


async def test_unreachable_server_is_a_warning() -> None:
    """The public name may not be reachable from within."""
    assert await judged(Unavailable("Cannot reach it.")) == (Verdict.WARNING, "Cannot reach it.")
