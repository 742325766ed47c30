"""`darkroom serve --workers N`, without the processes."""

import socket
from types import SimpleNamespace

import pytest
import uvicorn.supervisors

from ingest.cli import process_commands
from proxy.rendering import sandbox


def test_server_with_several_processes_is_announced_once_when_all_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    class Processes:
        """Two processes that are ready one after the other. Is asked after them as by uvicorn."""

        def __init__(self, *_: object, **__: object) -> None:
            self.rounds = 0
            ready = [lambda: self.rounds > 1, lambda: self.rounds > 2]
            self.processes = [SimpleNamespace(is_ready=each, exitcode=0) for each in ready]

        def keep_subprocess_alive(self) -> None:
            self.rounds += 1
            said.append(f"round {self.rounds}")

        def run(self) -> None:
            for _ in range(4):
                self.keep_subprocess_alive()

    monkeypatch.setattr(uvicorn.supervisors, "Multiprocess", Processes)
    monkeypatch.setattr(sandbox, "hide_memory", lambda: None)
    with socket.socket() as listener:
        process_commands._serve(listener, 2, process_commands.Role.ALL, 1024, lambda: said.append("announced"))

    assert said == ["round 1", "round 2", "round 3", "announced", "round 4"]
