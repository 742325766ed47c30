"""Derives with Darkroom's own pipeline, as a render process does. One JSON line in, one out; see worker.py."""

import json
import sys
from pathlib import Path
from time import perf_counter, process_time

from PIL import Image

from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import render
from proxy.imaging.target import Target
from proxy.model import Fit, Format

COMMAND = [sys.executable, "-m", "benchmarks.peers.darkroom"]
LIMITS = Limits(1, 10_000)


def main() -> None:
    Image.MAX_IMAGE_PIXELS = None
    for line in sys.stdin:
        request = json.loads(line)
        targets = [
            Target(one["side"], one["side"], Fit.COVER, Format(one["format"]), one["quality"], "#ffffff", False)
            for one in request["variants"]
        ]
        start, cpu = perf_counter(), process_time()
        rendered = list(render(Path(request["path"]), targets, LIMITS))
        ms, cpu = (perf_counter() - start) * 1000, (process_time() - cpu) * 1000
        if request.get("save"):
            Path(request["save"]).write_bytes(rendered[0].body)
        print(json.dumps({"ms": ms, "cpu": cpu, "sizes": [len(one.body) for one in rendered]}), flush=True)


if __name__ == "__main__":
    main()
