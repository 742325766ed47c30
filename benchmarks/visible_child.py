"""A render process whose memory can be measured without root, with or without libvips. Run by `benchmarks.memory`."""

import sys
from functools import cache

from proxy.imaging import vips
from proxy.rendering import sandbox, worker_main

if __name__ == "__main__":
    if sys.argv.pop(1) == "Pillow":
        vips.is_installed = cache(lambda: False)
    sandbox.hide_memory = lambda: None
    worker_main.main()
