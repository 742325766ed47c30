"""Checks that what is in front of Darkroom lets uploads of the largest size pass."""

from collections.abc import Awaitable, Callable, Mapping

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, skipped, warning
from ingest.maintenance.doctor.http_client import Answer
from ingest.uploads.multipart import MAX_OTHER_BYTES
from proxy.errors import Unavailable

AnnounceUpload = Callable[[str, int], Awaitable[Answer | None]]
"""Announces an upload of so many bytes to a URL, and sends none of them. None: no answer. Raises Unavailable."""

_ABOUT_THE_BODY = frozenset({400, 408})
"""Statuses of Darkroom for an announced upload of an allowed length: they report the missing body."""

_ABOUT_THE_KEY = frozenset({401, 403})
"""Statuses of Darkroom before it checks the length. The check sends no key: PUBLIC_URL may lead to another server."""

_NO_UPLOADS = (
    "uploads are not accepted there. Route the path to a server with the role `ingest` or `all`, and check PUBLIC_URL."
)
_ADVICE: Mapping[int, str] = {
    404: _NO_UPLOADS,
    405: _NO_UPLOADS,
    421: "Darkroom does not accept the `Host`. Let servers in front of it pass `Host` on, and set the same PUBLIC_URL "
    "there, or set API_KEYS.",
}


async def limit(public_url: str, max_upload_mb: int, announce: AnnounceUpload) -> CheckResult:
    """Checks that `public_url` accepts an upload of `max_upload_mb` MiB: sends its headers alone, so nothing is stored.

    nginx answers the announcement itself, so servers behind it are not checked.
    """
    url = f"{public_url}/images/upload"
    try:
        answer = await announce(url, (max_upload_mb << 20) + MAX_OTHER_BYTES)
    except Unavailable as error:
        return warning(str(error))
    if answer is None:
        return skipped(f"{url} answers whole uploads only: try an image of {max_upload_mb} MB")
    return _judge(answer, url, max_upload_mb)


def _judge(answer: Answer, url: str, max_upload_mb: int) -> CheckResult:  # noqa: PLR0911 - one for each kind of answer
    if answer.status == 413:
        return failed(
            f"{url} refuses uploads of {max_upload_mb} MB ({_name(answer)}): set the same MAX_UPLOAD_MB there, and "
            f"allow {max_upload_mb + 1} MB in every server in front of Darkroom. For nginx, `darkroom edge nginx` "
            f"prints client_max_body_size {max_upload_mb + 1}m."
        )
    is_darkroom = answer.headers.get_content_type() == "application/problem+json"
    if answer.status == 100 or (is_darkroom and answer.status in _ABOUT_THE_BODY):
        return ok(f"{url} accepts {max_upload_mb} MB")
    if 300 <= answer.status < 400:
        return warning(
            f"{url} redirects to {answer.headers.get('Location')}, where most clients send no upload again: set "
            "PUBLIC_URL to the redirect's target."
        )
    if answer.status == 429 or answer.status >= 500:
        return skipped(f"could not tell: {url} answers {answer.status} ({_name(answer)}). Try again later.")
    if is_darkroom and answer.status in _ABOUT_THE_KEY:
        return ok(f"servers in front of {url} let {max_upload_mb} MB pass; Darkroom's own limit shows only with a key")
    if is_darkroom:
        advice = _ADVICE.get(answer.status, "open PUBLIC_URL, and check that it is this server.")
        return warning(f"Darkroom at {url} answers {answer.status} to an announced upload: {advice}")
    return warning(
        f"{url} answers {answer.status}, and not Darkroom ({_name(answer)}): route it to the ingest service, unless "
        "clients upload elsewhere."
    )


def _name(answer: Answer) -> str:
    return answer.headers.get("Server") or "it does not name itself"
