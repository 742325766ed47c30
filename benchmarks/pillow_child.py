"""A render process as it is where libvips is not installed. Started by `benchmarks.memory`."""

from functools import cache

from proxy.imaging import vips
from proxy.rendering import worker_main

if __name__ == "__main__":
    vips.is_installed = cache(lambda: False)
    worker_main.main()
