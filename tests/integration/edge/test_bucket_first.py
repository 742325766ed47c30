"""The bucket is asked first, then Darkroom."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.http_client import http
from tests.nginx import Answer, StubOrigin, nginx
from tests.seaweedfs import SeaweedServer

PRIVATE = "private/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/small.webp"


@pytest.mark.slow
class TestBucketFirst:
    """deploy/bucket-first.conf in front of a real S3 server."""

    @pytest.fixture
    def bucket(self, seaweedfs: SeaweedServer) -> str:
        """Clients may read objects below images/ whose path they know, and nothing else."""
        name = f"edge-{uuid4().hex[:12]}"
        seaweedfs.create_bucket(name)
        seaweedfs.publish(name, "images/*")
        return name

    @pytest.fixture
    def bucket_edge(self, tmp_path: Path, stub: StubOrigin, seaweedfs: SeaweedServer, bucket: str) -> Iterator[str]:
        with nginx(tmp_path, stub.url, stub.url, bucket_url=f"{seaweedfs.endpoint_url}/{bucket}") as url:
            yield url

    @pytest.mark.promise("C7")
    def test_stored_variant_comes_from_the_bucket_alone(
        self, bucket_edge: str, stub: StubOrigin, seaweedfs: SeaweedServer, bucket: str, path: str
    ) -> None:
        seaweedfs.put(bucket, path[1:], b"stored", "image/webp", "public, max-age=31536000, immutable")

        answers = [http.get(bucket_edge + path) for _ in range(2)]

        assert [answer.text for answer in answers] == ["stored", "stored"]
        assert [answer.headers["x-cache-status"] for answer in answers] == ["MISS", "HIT"]
        assert answers[0].headers["content-type"] == "image/webp"
        assert answers[0].headers["x-content-type-options"] == "nosniff"
        assert stub.asked == []

    def test_missing_variant_comes_from_the_origin_once(self, bucket_edge: str, stub: StubOrigin, path: str) -> None:
        async def herd() -> list[httpx.Response]:
            async with httpx.AsyncClient(timeout=30, verify=False) as client:
                return await asyncio.gather(*(client.get(bucket_edge + path) for _ in range(20)))

        stub.answer.seconds = 0.3
        answers = asyncio.run(herd())

        assert {(answer.status_code, answer.text) for answer in answers} == {(200, "picture")}
        assert stub.paths() == {path: 1}

    def test_403_of_the_bucket_is_never_cached(self, bucket_edge: str, stub: StubOrigin, path: str) -> None:
        stub.answer = Answer(503, b"{}", {"Cache-Control": "no-store"})
        failed = http.get(bucket_edge + path)
        stub.answer = Answer()

        assert failed.status_code == 503
        assert http.get(bucket_edge + path).text == "picture"

    @pytest.mark.parametrize(("key", "status"), [("originals/1", 404), (PRIVATE, 403)])
    def test_original_and_private_variants_cannot_be_requested(
        self, seaweedfs: SeaweedServer, bucket: str, bucket_edge: str, stub: StubOrigin, *, key: str, status: int
    ) -> None:
        seaweedfs.put(bucket, key, b"stored", "image/webp", "private, max-age=86400")
        stub.answer = Answer(403, b"{}", {"Cache-Control": "no-store"})

        assert http.get(f"{seaweedfs.endpoint_url}/{bucket}/{key}").status_code == 403
        assert http.get(f"{bucket_edge}/{key}").status_code == status
        assert http.get(f"{bucket_edge}/{key}?token=x").status_code == status

    def test_private_variant_comes_from_the_origin_despite_a_public_bucket(
        self, seaweedfs: SeaweedServer, bucket: str, bucket_edge: str, stub: StubOrigin
    ) -> None:
        seaweedfs.publish(bucket, "private/*")
        seaweedfs.put(bucket, PRIVATE, b"stored", "image/webp", "private, max-age=86400")

        assert http.get(f"{bucket_edge}/{PRIVATE}?token=x").content == stub.answer.body
