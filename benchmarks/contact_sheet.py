"""Contact sheets: each image as it should be, as Darkroom renders it, and as sharp does, side by side, to look at.

`.venv/bin/python -m benchmarks.contact_sheet [FILE...]` takes the images of the benchmark `quality`, or the given
files, and writes one sheet for each kind into `build/contact-sheets`. Above each variant are its bytes, and its
SSIMULACRA2 if the scorer is installed; what cannot be decoded stays grey. sharp's AVIF has its default quality.
"""

import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from PIL import Image, ImageDraw

from benchmarks import kinds, tools
from benchmarks.corpus import Picture
from benchmarks.judge import Judge, reference
from benchmarks.peers import install
from benchmarks.peers.worker import ROOT, Worker
from benchmarks.report import say
from benchmarks.tools import Tool
from proxy.model import Format

SIDE = 400
LINE = 16  # pixels, of the text above each image
FOLDER = ROOT / "build" / "contact-sheets"

UNDECODED = Image.new("RGBA", (SIDE, SIDE), "#cccccc")
Labelled = tuple[str, Image.Image]


def main(files: Iterable[str]) -> None:
    pictures = [Picture(Path(file).name, "given", Path(file), quick=True) for file in files]
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        python = install.python("tools")
        judge = stack.enter_context(Judge(python)) if python else None
        for kind, alike in groupby(pictures or kinds.pictures(quick=True), lambda picture: picture.group):
            path = FOLDER / f"{kind.replace(' ', '-')}.png"
            sheet([row for picture in alike for row in rows_of(picture, judge)]).save(path)
            say(f"{path}")


def rows_of(picture: Picture, judge: Judge | None) -> Iterator[list[Labelled]]:
    """Yields a row for each tool: the reference, then a variant in each format."""
    for tool in (tools.ours(), tools.sharp()):
        if tool is None:
            continue
        try:
            wanted = reference(picture.path, tool.geometry, SIDE)
        except (OSError, SyntaxError, ValueError):  # Pillow is stricter than both tools
            wanted = UNDECODED
        yield [
            (f"{picture.name}, {tool.name}", wanted),
            *variants(picture, tool, None if wanted is UNDECODED else judge),
        ]


def variants(picture: Picture, tool: Tool, judge: Judge | None) -> Iterator[Labelled]:
    with tempfile.TemporaryDirectory() as folder:
        for format in Format:
            file = Path(folder, f"variant.{format}")
            try:
                with Worker(tool.command) as worker:
                    worker.ask(**tool.request(picture, (SIDE, format)), save=str(file))
            except RuntimeError:  # the worker ends if the tool refuses the file
                yield f"{format}, refused", UNDECODED
                continue
            label = f"{format}, {file.stat().st_size} bytes"
            if judge:
                label += f", {judge.scores(picture.path, tool.geometry, SIDE, {format: file})[format]:.1f}"
            with Image.open(file) as image:
                yield label, image.convert("RGBA")


def sheet(rows: list[list[Labelled]]) -> Image.Image:
    """Returns all rows as one image, over white, with the labels above the images."""
    height = SIDE + LINE
    canvas = Image.new("RGB", (max(map(len, rows)) * SIDE, len(rows) * height), "white")
    draw = ImageDraw.Draw(canvas)
    for number, row in enumerate(rows):
        for column, (label, image) in enumerate(row):
            draw.text((column * SIDE + 2, number * height), label, "black")
            canvas.paste(image, (column * SIDE, number * height + LINE), image.convert("RGBA").getchannel("A"))
    return canvas


if __name__ == "__main__":
    main(sys.argv[1:])
