"""A render process as it is where libvips is not installed. Started by `benchmarks.memory`."""

from proxy.imaging import child, vips

if __name__ == "__main__":
    setattr(vips, "installed", lambda: "")  # noqa: B010 - mypy minds assigning it
    child.main()
