"""`quality = "auto"` against fixed qualities, and our measure of similarity against the package ssimulacra2.

python -m benchmarks.auto_quality [FOLDER] # FOLDER: more photographs than scikit-image's, for instance large ones
"""

import io
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image, ImageOps

from benchmarks import photographs
from benchmarks.judge import Judge
from benchmarks.peers import install
from benchmarks.report import table
from proxy.imaging.auto_quality.search import encode_with_search
from proxy.imaging.auto_quality.ssimulacra2 import Reference
from proxy.imaging.encode import encode
from proxy.imaging.target import Target
from proxy.model import Fit, Format
from proxy.settings import Quality

SIDES = (150, 400, 800)
LARGE_SIDES = (1600, 2400)
LOSSY = (Format.JPG, Format.WEBP, Format.AVIF)
QUALITIES = (50, 65, 75, 85, 92)

Renderings = list[tuple[str, int, Image.Image]]


def main(folder: Path | None) -> None:
    python = install.python("tools")
    if python is None:
        return
    paths = [photographs.path(name) for name in photographs.SKIMAGE]
    paths += sorted(folder.glob("*.jpg")) if folder else []
    with Judge(python) as judge:
        compare(paths, judge)


def compare(paths: list[Path], judge: Judge) -> None:
    pictures = list(renderings(paths, SIDES))
    table(
        f"Our measure against the package ssimulacra2: {len(pictures)} renderings, 3 formats, qualities {QUALITIES}",
        ("side", "files", "Pearson", "Spearman", "ours is higher by", "mean difference", "worst"),
        agreement(pictures, judge),
    )
    table(
        f"A score of {Quality().score:g} against fixed qualities; scores are the package's",
        (
            *("side", "format", "fixed KB", "auto KB", "bytes of a picture", "from", "to"),
            *("fixed mean", "worst", "auto mean", "worst", "fixed ms", "auto ms"),
        ),
        comparison(pictures, judge),
    )
    table(
        "Large pictures, whose middle is searched: what it scores, and what all of it scores, both by our measure",
        ("picture", "side", "format", "quality", "middle", "all", "fixed ms", "auto ms"),
        large(paths),
    )


def renderings(paths: list[Path], sides: tuple[int, ...]) -> Iterator[tuple[str, int, Image.Image]]:
    """Returns squares of the photographs that are large enough."""
    for path in paths:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
        for side in sides:
            if min(upright.size) >= side:
                square = ImageOps.fit(upright, (side, side), Image.Resampling.LANCZOS)
                square.info = {}
                yield path.stem, side, square


def agreement(pictures: Renderings, judge: Judge) -> Iterator[tuple[object, ...]]:
    rows: list[tuple[int, float, float]] = []
    for _, side, picture in pictures:
        reference = Reference(picture)
        files = [
            encode(picture.copy(), replace(fixed(side, format), quality=quality), None)
            for format in LOSSY
            for quality in QUALITIES
        ]
        ours = [reference.score(decoded(file)) for file in files]
        rows += zip([side] * len(files), ours, published(judge, picture, files), strict=True)
    for side in (*SIDES, "all"):
        ours, theirs = np.array([row[1:] for row in rows if side in (row[0], "all")]).T
        ranks = (np.argsort(np.argsort(scores)) for scores in (ours, theirs))
        apart = ours - theirs
        yield (
            *(side, len(ours), f"{np.corrcoef(ours, theirs)[0, 1]:.4f}", f"{np.corrcoef(*ranks)[0, 1]:.4f}"),
            *(f"{apart.mean():.2f}", f"{abs(apart).mean():.2f}", f"{apart[abs(apart).argmax()]:.2f}"),
        )


def comparison(pictures: Renderings, judge: Judge) -> Iterator[tuple[object, ...]]:
    rows = []
    for _, side, picture in pictures:
        for format in LOSSY:
            plain, plain_ms = timed(picture, fixed(side, format))
            auto, auto_ms = timed(picture, searched(side, format))
            scores = published(judge, picture, [plain, auto])
            rows.append((side, format, len(plain), len(auto), *scores, plain_ms, auto_ms))
    for side in (*SIDES, "all"):
        for format in LOSSY:
            chosen = [row[2:] for row in rows if side in (row[0], "all") and row[1] is format]
            plain, auto, plain_scores, auto_scores, plain_times, auto_times = zip(*chosen, strict=True)
            ratios = [a / p for a, p in zip(auto, plain, strict=True)]
            typical = math.exp(mean(math.log(ratio) for ratio in ratios))
            yield (
                *(side, format, sum(plain) / 1024, sum(auto) / 1024),
                *(f"{ratio:.2f}" for ratio in (typical, min(ratios), max(ratios))),
                *(f"{mean(plain_scores):.1f}", f"{min(plain_scores):.1f}"),
                *(f"{mean(auto_scores):.1f}", f"{min(auto_scores):.1f}"),
                *(median(plain_times), median(auto_times)),
            )


def large(paths: list[Path]) -> Iterator[tuple[object, ...]]:
    for name, side, picture in renderings(paths, LARGE_SIDES):
        reference = Reference(picture)
        for format in LOSSY:
            _, plain_ms = timed(picture, fixed(side, format))
            start = time.process_time()
            file, measured = encode_with_search(picture.copy(), searched(side, format), None)
            auto_ms = (time.process_time() - start) * 1000
            assert measured is not None
            middle, whole = f"{measured.score:.1f}", f"{reference.score(decoded(file)):.1f}"
            yield name.split("_")[0], side, format, measured.quality, middle, whole, plain_ms, auto_ms


def timed(picture: Image.Image, target: Target) -> tuple[bytes, float]:
    """Returns the file, and milliseconds of processor time, which other work affects less than wall-clock time."""
    copy = picture.copy()
    start = time.process_time()
    file = encode(copy, target, None) if target.score is None else encode_with_search(copy, target, None)[0]
    return file, (time.process_time() - start) * 1000


def published(judge: Judge, picture: Image.Image, files: Sequence[bytes]) -> list[float]:
    """Scores by the package ssimulacra2."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder, str(number)) for number, _ in enumerate(files)]
        for path, file in zip(paths, files, strict=True):
            path.write_bytes(file)
        return judge.likeness(picture, paths)


def fixed(side: int, format: Format) -> Target:
    return Target(side, side, Fit.COVER, format, getattr(Quality(), format), "#ffffff", keep_exif=False)


def searched(side: int, format: Format) -> Target:
    return replace(fixed(side, format), score=Quality().score)


def decoded(file: bytes) -> Image.Image:
    with Image.open(io.BytesIO(file)) as image:
        return image.convert("RGB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else None)
