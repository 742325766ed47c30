"""Of many callers in many processes one derives, also when it dies of it."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.client import GUARD, complete, status, until, upload
from tests.cluster import Cluster
from tests.crowd import at_once, derivations
from tests.http_client import http
from tests.service import Service

PROXIES, CALLERS = 4, 250


class TestOneDerivation:
    def assert_one(self, proxies: Sequence[Service], upload_id: str) -> None:
        answers = asyncio.run(at_once([f"{proxy.url}/images/{upload_id}/medium.webp" for proxy in proxies] * CALLERS))

        assert Counter(answer.status for answer in answers) == {200: PROXIES * CALLERS}
        assert len({answer.body for answer in answers}) == 1
        assert derivations(*proxies) == 1
        assert sum(answer.cache_status == "darkroom; fwd=miss; stored" for answer in answers) == 1

    def test_of_four_processes_with_a_thousand_callers(self, cluster: Cluster, photograph: bytes) -> None:
        with ExitStack() as stack:
            with cluster.ingest() as ingest:
                upload_id = upload(ingest, photograph)
            proxies = [stack.enter_context(cluster.proxy(f"proxy-{number}")) for number in range(PROXIES)]
            self.assert_one(proxies, upload_id)
            assert [proxy.metric("darkroom_lock_fallbacks_total") for proxy in proxies] == [0] * PROXIES
        assert cluster.objects("images/") == [f"images/{upload_id}/medium.webp"]

    def test_of_four_processes_that_share_a_folder_and_no_redis(self, tmp_path: Path, photograph: bytes) -> None:
        settings = {"DATA_DIR": str(tmp_path / "data"), "RENDER_PROCESSES": "1"}
        with ExitStack() as stack:
            with Service(tmp_path / "ingest", "--role", "ingest", WARM_UP="false", **settings) as ingest:
                upload_id = upload(ingest, photograph)
            proxies = [
                stack.enter_context(Service(tmp_path / f"proxy-{number}", "--role", "proxy", **settings))
                for number in range(PROXIES)
            ]
            self.assert_one(proxies, upload_id)

    def test_of_a_warm_up_and_those_who_ask_meanwhile(self, cluster: Cluster, photograph: bytes) -> None:
        with cluster.ingest() as ingest, cluster.proxy("proxy") as proxy, cluster.worker():
            upload_id = upload(ingest, photograph)
            until(lambda: status(ingest, upload_id) != "pending")
            url = f"{proxy.url}/images/{upload_id}/small.webp"  # the last to be made
            answers = asyncio.run(at_once([url] * 20))
            until(lambda: complete(ingest, upload_id))
            assert Counter(answer.status for answer in answers) == {200: 20}
            assert len({answer.body for answer in answers}) == 1
            assert http.get(url).content == answers[0].body


@pytest.mark.parametrize("shared", ["redis", "folder"])
def test_a_holder_that_is_killed_delays_the_others_by_seconds(cluster: Cluster, photograph: bytes, shared: str) -> None:
    folder = cluster.folder / "shared"
    settings = {"RENDER_PROCESSES": "1", "DATA_DIR": str(folder)} if shared == "folder" else cluster.store_settings
    if shared == "redis":
        settings["REDIS_URL"] = cluster.redis.url
    with Service(cluster.folder / "ingest", "--role", "ingest", WARM_UP="false", **settings) as ingest:
        upload_id = upload(ingest, photograph)

    def is_leased() -> object:
        if shared == "folder":
            return list(folder.glob("locks/*.lock"))
        with cluster.redis.client() as client:
            return client.keys("darkroom:images/*")

    with (
        Service(cluster.folder / "holder", "--role", "proxy", **settings) as holder,
        Service(cluster.folder / "other", "--role", "proxy", **settings) as other,
        ThreadPoolExecutor() as pool,
    ):
        path = f"/images/{upload_id}/large.avif"
        broken = pool.submit(httpx.get, holder.url + path, timeout=GUARD)
        until(is_leased)
        waiting = [pool.submit(httpx.get, other.url + path, timeout=GUARD) for _ in range(3)]
        time.sleep(0.1)
        holder.kill()

        assert [answer.result().status_code for answer in waiting] == [200] * 3

        with pytest.raises(httpx.TransportError):
            broken.result()
        assert derivations(other) == 1
