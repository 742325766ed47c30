"""Runs the benchmarks, or the named parts of them, and prints Markdown tables."""

import argparse
from collections.abc import Callable

from PIL import Image

from benchmarks import about, cold, derivation, extremes, herd, hits, liveness, lossless, startup, together, warmup

PARTS: dict[str, Callable[..., None]] = {
    "derivation": derivation.main,
    "together": together.main,
    "extremes": extremes.main,
    "lossless": lossless.main,
    "cold": cold.main,
    "hits": hits.main,
    "herd": herd.main,
    "liveness": liveness.main,
    "warmup": warmup.main,
    "startup": startup.main,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="fewer pictures, fewer rounds")
    parser.add_argument("--rounds", type=int, help="runs whose median counts: 5, or 3 with --quick")
    chosen = parser.parse_args()
    if unknown := set(chosen.parts) - PARTS.keys():
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    Image.MAX_IMAGE_PIXELS = None  # the corpus has the largest images that Darkroom accepts
    about.main()
    for part in chosen.parts or PARTS:
        PARTS[part](rounds=chosen.rounds or (3 if chosen.quick else 5), quick=chosen.quick)


if __name__ == "__main__":
    main()
