"""Rolling restart of two proxies: a client that tries the other on failure always gets its variant."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.cluster import Cluster
from tests.faults.judge import Judge
from tests.faults.scene import MORE, NAMES, paths, uploaded
from tests.service import Service

ASKING = 4


class Balancer:
    """Like nginx with `proxy_next_upstream error`: if a connection breaks before a response, tries the other proxy."""

    def __init__(self, judge: Judge, proxies: list[Service], wanted: list[str]) -> None:
        self._judge, self._proxies, self._wanted = judge, proxies, wanted
        self.done = threading.Event()
        self.statuses: list[int] = []

    def run(self, number: int) -> None:
        turn = number
        while not self.done.is_set():
            turn += 1
            path = self._wanted[turn % len(self._wanted)]
            first, second = self._proxies[turn % 2], self._proxies[(turn + 1) % 2]
            try:
                answer = self._judge.get(first.url + path)
            except httpx.TransportError:
                answer = self._judge.get(second.url + path)
            self.statuses.append(answer.status)


@pytest.mark.promise("E10")
@pytest.mark.slow
@pytest.mark.parametrize("times", [1, pytest.param(4, marks=pytest.mark.long)])
def test_rolling_restarts_fail_no_request(cluster: Cluster, judge: Judge, times: int) -> None:
    with cluster.ingest(WARM_UP="false") as ingest:
        wanted = [path for _ in range(10) for path in paths(uploaded(ingest), NAMES + MORE)]
    with cluster.proxy("first") as first, cluster.proxy("second") as second, ThreadPoolExecutor(ASKING) as pool:
        balancer = Balancer(judge, [first, second], wanted)
        asking = [pool.submit(balancer.run, number) for number in range(ASKING)]
        try:
            for service in (first, second) * times:
                time.sleep(0.5)
                service.stop()
                service.start()
        finally:  # otherwise the pool would never end
            balancer.done.set()
        for one in asking:
            one.result()
        assert "Traceback" not in first.log() + second.log()
    assert set(balancer.statuses) == {200}
    assert len(balancer.statuses) >= 50 * times
