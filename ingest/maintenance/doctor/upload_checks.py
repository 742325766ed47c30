"""Checks that what is in front of Darkroom lets uploads of the largest size pass."""

from collections.abc import Awaitable, Callable

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, skipped, warning
from ingest.maintenance.doctor.http_client import Answer
from ingest.uploads.multipart import MAX_OTHER_BYTES
from proxy.errors import Unavailable

AnnounceUpload = Callable[[str, int], Awaitable[Answer | None]]
"""Announces an upload of so many bytes to a URL, and sends none of them. None: no answer. Raises Unavailable."""


async def limit(public_url: str, max_upload_mb: int, announce: AnnounceUpload) -> CheckResult:
    """Announces the largest upload by its length: a quarter of a kilobyte is sent, and nothing is stored.

    nginx answers itself, because it reads a whole body first. So a second server behind it is not asked.
    """
    url = f"{public_url}/images/upload"
    try:
        answer = await announce(url, (max_upload_mb << 20) + MAX_OTHER_BYTES)
    except Unavailable as error:
        return warning(str(error))
    if answer is None:
        return skipped(f"{url} answers whole uploads only: try an image of {max_upload_mb} MB")
    return _judge(answer, url, max_upload_mb)


def _judge(answer: Answer, url: str, max_upload_mb: int) -> CheckResult:
    if answer.status == 413:
        return failed(
            f"{url} refuses uploads of {max_upload_mb} MB ({_name(answer)}): set the same MAX_UPLOAD_MB there, and "
            f"allow {max_upload_mb + 1} MB in every server in front of Darkroom. For nginx, `darkroom edge nginx` "
            f"prints client_max_body_size {max_upload_mb + 1}m."
        )
    if answer.status == 100 or answer.headers.get_content_type() == "application/problem+json":
        return ok(f"{url} takes {max_upload_mb} MB")
    if 300 <= answer.status < 400:
        return warning(
            f"{url} redirects to {answer.headers.get('Location')}, where most clients send no upload again: set "
            "PUBLIC_URL to the redirect's target."
        )
    return warning(
        f"{url} answers {answer.status}, and not Darkroom ({_name(answer)}): lead it to the ingest service, unless "
        "clients upload elsewhere."
    )


def _name(answer: Answer) -> str:
    return answer.headers.get("Server") or "it does not name itself"
