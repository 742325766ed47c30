"""A client that checks every response against the rules for all faults, and records it."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from urllib.parse import urlsplit

from PIL import Image

from tests.client import Answer, get
from tests.http_client import http
from tests.waiting import GUARD

RENDER_TIMEOUT = 5.0
MARGIN = 3.0
"""Seconds that a busy machine may add to any deadline."""


class Judge:
    """`truth`: the correct bytes of each variant, by name. All uploads have the same image."""

    def __init__(self, truth: dict[str, bytes]) -> None:
        self.truth = truth
        self._deleted: set[str] = set()
        self.answers: list[tuple[str, Answer]] = []
        self._lock = threading.Lock()

    def get(self, url: str, *, within: float = RENDER_TIMEOUT + MARGIN) -> Answer:
        """Requests one variant. Raises if the connection breaks, which no cache stores."""
        start = time.monotonic()
        response = http.get(url, timeout=within + MARGIN)
        answer = Answer(response.status_code, response.headers, response.content, time.monotonic() - start)
        assert answer.seconds < within, f"{url} took {answer.seconds:.1f} s"
        self._judge(urlsplit(url).path, answer)
        return answer

    def get_all(self, urls: Sequence[str], *, within: float = RENDER_TIMEOUT + MARGIN) -> list[Answer]:
        """Requests all concurrently."""
        with ThreadPoolExecutor(len(urls)) as pool:
            return [*pool.map(lambda url: self.get(url, within=within), urls)]

    def outcomes(self, urls: Sequence[str]) -> set[str]:
        """Requests all concurrently. Returns "ok" and the codes of errors."""
        with ThreadPoolExecutor(len(urls)) as pool:
            return {*pool.map(self._outcome, urls)}

    def crowd(self, url: str, paths: Sequence[str], *, within: float) -> list[Answer]:
        """Requests hundreds concurrently, each on a connection of its own, without threads."""
        return asyncio.run(self._crowd(url, paths, within))

    def deleted(self, upload_id: str) -> None:
        """From now on, 404 and 422 are correct for this upload."""
        self._deleted.add(upload_id)

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for _, answer in self.answers)

    def _outcome(self, url: str) -> str:
        # A busy machine may be overloaded by any request, which is no fault: clients try again.
        deadline = time.monotonic() + GUARD
        while (answer := self.get(url)).status == 503 and answer.code == "overloaded" and time.monotonic() < deadline:
            time.sleep(int(answer.headers["retry-after"]))
        return "ok" if answer.status == 200 else answer.code

    async def _crowd(self, url: str, paths: Sequence[str], within: float) -> list[Answer]:
        return await asyncio.gather(*(self._one_of_crowd(url, path, within) for path in paths))

    async def _one_of_crowd(self, url: str, path: str, within: float) -> Answer:
        async with asyncio.timeout(within):
            answer = await get(url + path)
        self._judge(path, answer)
        return answer

    def _judge(self, path: str, answer: Answer) -> None:
        with self._lock:
            self.answers.append((path, answer))
        caching = answer.headers.get("cache-control", "")
        if answer.status == 200:
            self._judge_variant(path, answer)
        elif answer.status in (404, 422):
            assert caching == "public, max-age=60", path
            assert path.split("/")[2] in self._deleted, f"{answer.status} for an existing variant: {path}"
        else:
            assert answer.status in (503, 504), f"{answer.status} for {path}: {answer.body[:200]!r}"
            assert caching == "no-store"
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.status == 504 or int(answer.headers["retry-after"]) >= 1

    def _judge_variant(self, path: str, answer: Answer) -> None:
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert answer.body == self.truth[path.rpartition("/")[2]], f"wrong bytes of {path}"
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def decoded_size(body: bytes) -> tuple[int, int]:
    """Returns the size. Raises if the image does not decode completely."""
    with Image.open(BytesIO(body)) as picture:
        picture.load()
        return picture.size
