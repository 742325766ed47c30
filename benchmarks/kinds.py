"""Images of five kinds: photographs, screenshots, scans, logos and line art. All but photographs are drawn here.

The drawn ones are squares, so both tools scale them by the same factor, and need no tolerance for their geometry.
Those of 800 pixels are also measured at their own size.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from benchmarks import corpus
from benchmarks.corpus import Picture, saved

OWN_SIZE = (0, 0, 800, 800)
COLORS = ("#ff3b30", "#34c759", "#5ac8fa", "#ffffff")


def page(*, side: int, ink: tuple[str, ...], paper: str, height: int) -> Image.Image:
    """Returns lines of text in random order and in these colours of ink; `height` of the letters in pixels."""
    words = corpus.SENTENCE.split()
    image = Image.new("RGB", (side, side), paper)
    draw, chance, font = ImageDraw.Draw(image), random.Random(2), ImageFont.load_default(height)
    for top in range(height, side - 2 * height, 3 * height // 2):
        draw.text((height, top), " ".join(chance.choices(words, k=side // height // 2)), chance.choice(ink), font)
    return image


def terminal() -> Image.Image:
    """Bright letters on black, whose colours 4:2:0 blurs."""
    return page(side=1600, ink=COLORS, paper="#000000", height=22)


def desktop() -> Image.Image:
    with Image.open(BytesIO(corpus.screenshot(""))) as image:
        return image.crop((0, 0, 1440, 1440))


def scan() -> Image.Image:
    """A printed page, slightly turned, soft and noisy."""
    printed = page(side=1600, ink=("#282828",), paper="#f4f4f4", height=24).convert("L")
    soft = printed.rotate(0.4, Image.Resampling.BICUBIC, fillcolor=244).filter(ImageFilter.GaussianBlur(0.8))
    noise = Image.frombytes("L", soft.size, random.Random(3).randbytes(soft.width * soft.height))
    return ImageChops.add(soft, noise.point([128 + (value - 128) // 20 for value in range(256)]), offset=-128)


def fax() -> Image.Image:
    return scan().point([255 * (value > 150) for value in range(256)]).convert("1", dither=Image.Dither.NONE)


def logo() -> Image.Image:
    """Flat shapes with soft edges on a transparent canvas."""
    large = Image.new("RGBA", (3200, 3200))
    draw = ImageDraw.Draw(large)
    draw.ellipse((200, 200, 3000, 3000), fill="#e4572e")
    draw.ellipse((700, 700, 2500, 2500), fill="#29335c")
    draw.polygon([(1600, 900), (2400, 2300), (800, 2300)], fill="#f3a712")
    draw.rounded_rectangle((1400, 1500, 1900, 2900), 200, fill="#a8c686")
    return large.resize((1600, 1600), Image.Resampling.BOX)


def line_art() -> Image.Image:
    """A technical drawing: thin curves and lettering in black on white."""
    large = Image.new("L", (3200, 3200), 255)
    draw = ImageDraw.Draw(large)
    for step in range(20):
        near, far = 60 + 40 * step, 60 + 25 * step
        draw.ellipse((near, far, 3140 - far, 3140 - near), outline=0, width=4)
        draw.line((0, 140 * step, 3200, 3200 - 150 * step), fill=0, width=3)
        draw.text((150 * step, 100 + 100 * step), f"{step}.7 mm", 0, ImageFont.load_default(44))
    return large.resize((1600, 1600), Image.Resampling.BOX)


def drawn(draw: Callable[[], Image.Image], *, own_size: bool = False, colors: int = 0, format: str = "PNG") -> bytes:
    image = draw()
    if own_size:
        image = image.resize((800, 800)) if image.mode == "RGBA" else image.crop(OWN_SIZE)
    return saved(image.quantize(colors) if colors else image, format, **({"quality": 92} if format == "JPEG" else {}))


DRAWN: dict[str, dict[str, Callable[[], bytes]]] = {
    "screenshot": {
        "desktop.png": partial(drawn, desktop),
        "desktop-800.png": partial(drawn, desktop, own_size=True),
        "terminal.png": partial(drawn, terminal),
        "terminal-800.png": partial(drawn, terminal, own_size=True),
    },
    "scan": {
        "grey.jpg": partial(drawn, scan, format="JPEG"),
        "grey-800.png": partial(drawn, scan, own_size=True),
        "bilevel.png": partial(drawn, fax),
        "bilevel-800.png": partial(drawn, fax, own_size=True),
    },
    "logo": {
        "alpha.png": partial(drawn, logo),
        "alpha-800.png": partial(drawn, logo, own_size=True),
        "palette-800.png": partial(drawn, logo, own_size=True, colors=64),
    },
    "line art": {"grey.png": partial(drawn, line_art), "grey-800.png": partial(drawn, line_art, own_size=True)},
}


def pictures(*, quick: bool) -> list[Picture]:
    """Returns all images, grouped by kind; draws those that are not there yet."""
    photographs = [
        replace(one, group="photograph")
        for one in corpus.pictures(quick=quick)
        if one.group in ("JPEG", "PNG") and not one.name.endswith(("screenshot", "cut out"))
    ]
    others = [
        Picture(name, kind, _kept(kind, name, draw), quick=True)
        for kind, files in DRAWN.items()
        for name, draw in files.items()
    ]
    return photographs + others


def _kept(kind: str, name: str, draw: Callable[[], bytes]) -> Path:
    path = corpus.FOLDER / f"{corpus.slug(kind)}-{name}"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(draw())
    return path
