"""Runs mozjpeg's lossless optimiser over a JPEG. Runs in the environment of tools.txt; one JSON line in, one out."""

import json
import sys
from pathlib import Path
from time import perf_counter

from mozjpeg_lossless_optimization import optimize

for line in sys.stdin:
    body = Path(json.loads(line)["path"]).read_bytes()
    start = perf_counter()
    smaller = optimize(body)
    print(json.dumps({"ms": (perf_counter() - start) * 1000, "size": len(smaller)}), flush=True)
