"""Removes variants of changed and deleted uploads from nginx's caches, with the map `$forgets` of nginx.conf."""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from time import monotonic
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from ingest.ingest_errors import CdnUnavailable
from proxy.edge_protocol import FORGET_HEADER, FORGOTTEN_SECONDS
from proxy.keys import VARIANTS_PREFIXES
from proxy.model import DENSITIES, Format, Sizes, UploadId, Variant, parse_upload_id
from proxy.variants.encoded_variant import UPLOAD_TAG

_TIMEOUT = 4.0  # seconds for each request
_BATCH = 20  # uploads on one connection
_DEADLINE = 30.0  # seconds for all requests of a batch
_TIMES = 2  # a variant that was on its way to nginx may have replaced the first 404, for a year
_THREADS = 4  # not those of the default limiter: a slow edge must not delay uploads and derivations


class NginxCaches:
    """Asks each nginx to forget every path that a variant of the upload may have, because nginx has no tags.

    With the three default sizes, these are 90 small requests for each upload, on one connection; all are sent twice.
    Tags of recipes are ignored, because a stale variant is still a correct image.
    """

    def __init__(self, urls: Sequence[str], secret: str, sizes: Sizes) -> None:
        """`urls`: base URLs at which this server reaches the edges. `secret`: EDGE_SECRET, as nginx.conf has it."""
        self._urls = urls
        self._secret = secret
        self._names = [*_names(sizes)]
        self._threads = anyio.CapacityLimiter(_THREADS)

    async def invalidate(self, tags: Sequence[str], *, withdrawn: bool = False) -> None:  # noqa: ARG002 - the port has it
        """Sends all requests twice, also if not `withdrawn`: otherwise a variant with an old focus might stay.

        CloudFront is told only once then, because it charges for invalidations.
        """
        uploads = [upload_id for tag in tags if (upload_id := parse_upload_id(tag.removeprefix(UPLOAD_TAG)))]
        if not uploads:
            return
        for _ in range(_TIMES):
            for start in range(0, len(uploads), _BATCH):
                end = monotonic() + _DEADLINE
                await asyncio.gather(*(self._forget(url, uploads[start : start + _BATCH], end) for url in self._urls))
            await asyncio.sleep(FORGOTTEN_SECONDS)  # requests after this call must not get the 404

    async def _forget(self, url: str, uploads: Sequence[UploadId], end: float) -> None:
        try:
            async with asyncio.timeout(end - monotonic()):
                await anyio.to_thread.run_sync(
                    self._request_all, url, uploads, end, limiter=self._threads, abandon_on_cancel=True
                )
        except TimeoutError:
            raise CdnUnavailable(f"nginx at {url} did not answer within {_DEADLINE:g} seconds. Try again.") from None
        except (OSError, HTTPException) as error:
            raise CdnUnavailable(f"nginx at {url} does not answer: check EDGE_URLS. Try again.") from error

    def _request_all(self, url: str, uploads: Sequence[UploadId], end: float) -> None:
        """Requests every path. Raises TimeoutError after `end`, a time of `monotonic`: threads cannot be cancelled."""
        parts = urlsplit(url)
        connect = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        with closing(connect(parts.netloc, timeout=_TIMEOUT)) as connection:
            for path in (path for upload_id in uploads for path in self._paths(upload_id)):
                if monotonic() >= end:
                    raise TimeoutError
                connection.request("HEAD", f"{parts.path}/{path}", headers={FORGET_HEADER: self._secret})
                response = connection.getresponse()
                response.read()
                if FORGET_HEADER not in response.headers:
                    raise CdnUnavailable(
                        f"nginx at {url} does not forget {path} ({response.status}): give nginx.conf the EDGE_SECRET, "
                        "or print its rules again (darkroom edge nginx)."
                    )

    def _paths(self, upload_id: UploadId) -> list[str]:
        return [f"{prefix}{upload_id}/{name}" for prefix in VARIANTS_PREFIXES.values() for name in self._names]


def _names(sizes: Sizes) -> Iterable[str]:
    for size in sizes.values():
        for density in DENSITIES:
            yield f"{Variant(size, Format.JPG, density).size_name}.auto"
            yield from (Variant(size, format, density).name for format in Format)
