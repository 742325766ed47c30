"""For programs under libfaketime 0.9.10, in which `time.sleep` raises OSError: it takes the deadline for a faked one.

That is `clock_nanosleep` of the monotonic clock. A real clock that is off does nothing of the kind.
"""

import select
import time

time.sleep = lambda seconds: select.select([], [], [], seconds)
