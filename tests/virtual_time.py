"""An event loop whose clock jumps to the next timer, for tests of long waits."""

import asyncio
import selectors


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when it is idle: hours pass at once, in order.

    Only for code that starts no threads or processes, because every timer would run before their results.
    """

    def __init__(self) -> None:
        self.skipped = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return super().time() + self.skipped


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualTimeLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout else timeout)
        if timeout and not ready:
            self._loop.skipped += timeout
        return ready
