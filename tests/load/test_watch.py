import os
import signal
import subprocess

import pytest

from tests.client import until
from tests.watch import Watch


@pytest.mark.parametrize("collected", [True, False])
def test_watch_of_a_server_that_has_ended_raises(collected: bool) -> None:
    """Until its parent waits for it, a process still exists as a zombie, without memory."""
    with subprocess.Popen(["sleep", "60"]) as server, pytest.raises(ProcessLookupError):
        kill_while_watched(server, collected)


def kill_while_watched(server: subprocess.Popen[bytes], collected: bool) -> None:
    watch = Watch(server.pid)
    with watch.running():
        server.kill()
        if collected:
            server.wait()
        until(lambda: watch._failure)


def test_watch_measures_a_server_and_its_children() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60; true"], start_new_session=True) as server:
        watch = Watch(server.pid)
        with watch.running():
            until(lambda: watch.most)
        os.killpg(server.pid, signal.SIGKILL)
    assert watch.samples > 0
    assert watch.most_itself > 100_000
