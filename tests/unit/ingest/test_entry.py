"""The entry of the command: what threads print that outlive it."""

import asyncio
import threading

import pytest

from ingest.__main__ import _print_thread_error


def raised_in_a_thread(monkeypatch: pytest.MonkeyPatch, error: Exception | None) -> None:
    """Raises `error` in a thread; without one, reports to an event loop that is closed."""
    monkeypatch.setattr(threading, "excepthook", _print_thread_error)
    loop = asyncio.new_event_loop()
    loop.close()

    def fail() -> None:
        if error:
            raise error
        loop.call_soon_threadsafe(print)

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def test_report_to_an_event_loop_that_has_ended_is_silent(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raised_in_a_thread(monkeypatch, None)

    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("error", [RuntimeError("something else"), ValueError("Event loop is closed")])
def test_other_error_of_a_thread_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    raised_in_a_thread(monkeypatch, error)

    assert f"{type(error).__name__}: {error}" in capsys.readouterr().err
