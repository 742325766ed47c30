"""Runs the benchmarks, or the named parts of them, and prints Markdown tables."""

import argparse
from collections.abc import Callable
from functools import partial

from PIL import Image

from benchmarks import (
    about,
    cold,
    derivation,
    extremes,
    growth,
    herd,
    hits,
    liveness,
    lossless,
    quality,
    standard,
    startup,
    together,
    warmup,
)

PARTS: dict[str, Callable[..., None]] = {
    "derivation": derivation.main,
    "together": together.main,
    "standard": standard.main,
    "extremes": extremes.main,
    "quality": quality.main,
    "lossless": lossless.main,
    "cold": cold.main,
    "hits": hits.main,
    "herd": herd.main,
    "liveness": liveness.main,
    "warmup": warmup.main,
    "startup": startup.main,
    "growth": growth.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer pictures, fewer rounds")
    parser.add_argument("--rounds", type=int, help="runs whose median counts: 5, or 3 with --quick")
    parser.add_argument("--million", action="store_true", help="growth: a million uploads, too (half an hour, 10 GB)")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    Image.MAX_IMAGE_PIXELS = None  # the corpus has the largest images that Darkroom accepts
    about.main()
    parts = PARTS | {"growth": partial(growth.main, million=chosen.million)}
    for part in chosen.parts or parts:
        parts[part](rounds=chosen.rounds or (3 if chosen.quick else 5), quick=chosen.quick)


if __name__ == "__main__":
    main()
