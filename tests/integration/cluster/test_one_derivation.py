"""One of many callers in many processes derives, even if its process dies."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.client import complete, status, until, upload
from tests.cluster import Cluster
from tests.crowd import at_once, count_derivations
from tests.http_client import http
from tests.service import PATIENT, Service

FEW, MANY = (2, 50), pytest.param(4, 250, marks=pytest.mark.long)
"""Numbers of processes, and of callers for each."""


@pytest.mark.parametrize(("processes", "callers"), [FEW, MANY])
class TestOneDerivation:
    def assert_one(self, services: Sequence[Service], callers: int, photograph: bytes) -> str:
        """Uploads to the first service. Returns the upload's id."""
        upload_id = upload(services[0], photograph)
        urls = [f"{service.url}/images/{upload_id}/medium.webp" for service in services]

        answers = asyncio.run(at_once(urls * callers))

        assert Counter(answer.status for answer in answers) == {200: len(services) * callers}
        assert len({answer.body for answer in answers}) == 1
        assert count_derivations(*services) == 1
        assert sum(answer.cache_status == "darkroom; fwd=miss; stored" for answer in answers) == 1
        return upload_id

    @pytest.mark.promise("C4")
    def test_processes_sharing_bucket_and_redis_derive_once(
        self, cluster: Cluster, photograph: bytes, processes: int, callers: int
    ) -> None:
        with ExitStack() as stack:
            services = [stack.enter_context(cluster.serve(WARM_UP="false"))]
            services += [stack.enter_context(cluster.proxy(f"proxy-{number}")) for number in range(1, processes)]
            upload_id = self.assert_one(services, callers, photograph)
            assert [service.metric("darkroom_lease_fallbacks_total") for service in services] == [0] * processes
        assert cluster.objects("images/") == [f"images/{upload_id}/medium.webp"]

    @pytest.mark.slow
    def test_processes_sharing_a_data_dir_derive_once(
        self, tmp_path: Path, photograph: bytes, processes: int, callers: int
    ) -> None:
        settings = {"DATA_DIR": str(tmp_path / "data"), "RENDER_PROCESSES": "1", **PATIENT}
        with ExitStack() as stack:
            services = [stack.enter_context(Service(tmp_path / "serve", WARM_UP="false", **settings))]
            services += [
                stack.enter_context(Service(tmp_path / f"proxy-{number}", "--role", "proxy", **settings))
                for number in range(1, processes)
            ]
            self.assert_one(services, callers, photograph)


@pytest.mark.slow
def test_warm_up_and_concurrent_requests_derive_once(cluster: Cluster, photograph: bytes) -> None:
    with cluster.serve() as service, cluster.proxy("proxy") as proxy:
        upload_id = upload(service, photograph)
        until(lambda: status(service, upload_id) != "pending")
        url = f"{proxy.url}/images/{upload_id}/small.webp"  # the last one that a warm-up derives
        answers = asyncio.run(at_once([url] * 20))
        until(lambda: complete(service, upload_id))
        assert Counter(answer.status for answer in answers) == {200: 20}
        assert len({answer.body for answer in answers}) == 1
        assert http.get(url).content == answers[0].body


@pytest.mark.slow
@pytest.mark.parametrize("shared", ["redis", "folder"])
def test_killed_lease_holder_is_replaced_by_one_process(cluster: Cluster, photograph: bytes, shared: str) -> None:
    folder = cluster.folder / "shared"
    settings = {"RENDER_PROCESSES": "1", "DATA_DIR": str(folder), **PATIENT} if shared == "folder" else cluster.settings

    def is_leased() -> object:
        if shared == "folder":
            return list(folder.glob("locks/*.lock"))
        with cluster.redis.client() as client:
            return client.keys("darkroom:images/*")

    with (
        Service(cluster.folder / "other", WARM_UP="false", **settings) as other,
        Service(cluster.folder / "holder", "--role", "proxy", **settings) as holder,
        ThreadPoolExecutor() as pool,
    ):
        path = f"/images/{upload(other, photograph)}/large.avif"
        broken = pool.submit(http.get, holder.url + path)
        until(is_leased)
        waiting = [pool.submit(http.get, other.url + path) for _ in range(3)]
        time.sleep(0.1)
        holder.kill()

        assert [answer.result().status_code for answer in waiting] == [200] * 3

        with pytest.raises(httpx.TransportError):
            broken.result()
        assert count_derivations(other) == 1
