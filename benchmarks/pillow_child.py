"""A render process without libvips. Started by `benchmarks.memory`."""

from functools import cache

from proxy.imaging import vips
from proxy.rendering import worker_main

if __name__ == "__main__":
    vips.is_installed = cache(lambda: False)
    worker_main.main()
