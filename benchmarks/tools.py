"""The two tools that derive: Darkroom's pipeline, and sharp with the settings of Darkroom's specification."""

import tempfile
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from statistics import mean

from benchmarks import corpus
from benchmarks.corpus import Picture
from benchmarks.judge import Geometry, Judge, exact, rounded
from benchmarks.peers import darkroom, install
from benchmarks.peers.worker import Worker
from proxy.model import Format
from proxy.settings import Quality

SIDES = (150, 400, 800)
AVIF_RANGE = range(40, 81)


@dataclass(frozen=True, slots=True)
class Tool:
    """`command` starts a process that derives, see peers/worker.py."""

    name: str
    command: list[str]
    geometry: Geometry
    quality: dict[Format, int] = field(default_factory=dict)

    def request(self, picture: Picture, *variants: tuple[int, Format]) -> dict[str, object]:
        wanted = [{"side": side, "format": format, "quality": self.quality.get(format)} for side, format in variants]
        return {"path": str(picture.path), "variants": wanted}

    def first(self, picture: Picture, side: int, format: Format, file: Path) -> tuple[int, float]:
        """Makes one variant in a fresh process and keeps it in `file`. Returns its bytes and the peak in MiB."""
        with Worker(self.command) as fresh:
            answer = fresh.ask(**self.request(picture, (side, format)), save=str(file))
            return answer["sizes"][0], fresh.peak()


def ours() -> Tool:
    return Tool("Darkroom", darkroom.COMMAND, exact, Quality().model_dump())


def sharp() -> Tool | None:
    """Returns sharp with the specification's settings: mozjpeg 85, WebP 85, PNG level 9. AVIF is set later."""
    command = install.sharp()
    return command and Tool("sharp", command, rounded, {Format.JPG: 85, Format.WEBP: 85})


@cache
def sharp_with_equal_avif(*, quick: bool) -> Tool | None:
    """Returns sharp at the AVIF quality whose mean score on JPEG sources is nearest to ours, found by bisection."""
    peer, python = sharp(), install.python("tools")
    if peer is None or python is None:
        return None
    pictures = [one for one in corpus.pictures(quick=quick) if one.group == "JPEG"]
    cases = list(product(pictures, (400,) if quick else (400, 800)))
    with tempfile.TemporaryDirectory() as folder, Judge(python) as judge:
        file = Path(folder, "variant.avif")

        def score(tool: Tool) -> float:
            scores = []
            for picture, side in cases:
                tool.first(picture, side, Format.AVIF, file)
                scores.append(judge.scores(picture.path, tool.geometry, side, {Format.AVIF: file})[Format.AVIF])
            return mean(scores)

        mine, goal = ours(), score(ours())
        low, high = AVIF_RANGE.start, AVIF_RANGE.stop
        seen: dict[int, float] = {}
        while high - low > 1:
            middle = (low + high) // 2
            seen[middle] = score(_at(peer, middle))
            low, high = (middle, high) if seen[middle] < goal else (low, middle)
    best = min(seen, key=lambda quality: abs(seen[quality] - goal))
    print(
        f"\nAVIF: sharp's quality {best} has the mean score of Darkroom's at {mine.quality[Format.AVIF]} "
        f"({seen[best]:.2f} and {goal:.2f} over {len(cases)} variants of JPEGs).",
        flush=True,
    )
    return _at(peer, best)


def _at(sharp: Tool, quality: int) -> Tool:
    return replace(sharp, quality=sharp.quality | {Format.AVIF: quality})
