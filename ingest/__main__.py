"""The entry of the `darkroom` command: handles SIGTERM before anything that takes time is imported."""

import os
import signal
import sys
import threading
from types import FrameType

_RUN_UNTIL_STOPPED = {"serve", "worker"}


def main() -> None:
    # Without a handler, the kernel ignores the signal for the first process of a container.
    signal.signal(signal.SIGTERM, _exit_at_once)
    threading.excepthook = _print_thread_error
    from ingest.cli import app  # noqa: PLC0415 - takes tenths of a second

    app()


def _exit_at_once(signum: int, _frame: FrameType | None) -> None:
    """Ends the process: a server or worker that has not started yet holds nothing that needs an orderly end.

    It exits with 0, like one that runs. Any other command is interrupted, and exits as if the signal had killed it.
    Does not raise SystemExit: the interrupted code could catch it, and its threads would be waited for.
    """
    os._exit(0 if _RUN_UNTIL_STOPPED.intersection(sys.argv[1:2]) else 128 + signum)


def _print_thread_error(error: threading.ExceptHookArgs) -> None:
    """Prints the traceback of a thread's error, except for "Event loop is closed".

    SQLite's driver opens connections in threads. If a command is stopped meanwhile, its event loop ends before such a
    thread can report its result, and the thread raises that error.
    """
    if not (isinstance(error.exc_value, RuntimeError) and str(error.exc_value) == "Event loop is closed"):
        threading.__excepthook__(error)


if __name__ == "__main__":
    main()
