"""Replaces `time.sleep` in programs under libfaketime 0.9.10, where it raises OSError.

Python sleeps until a deadline of the monotonic clock (`clock_nanosleep`), and libfaketime treats the deadline as a
faked one. A real clock that is wrong has no such effect.
"""

import select
import time

time.sleep = lambda seconds: select.select([], [], [], seconds)
