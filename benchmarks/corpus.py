"""The images that are measured: photographs from packages, and files made from them.

Darkroom accepts all of them by default: at most 10 MiB and 10000 pixels a side. They are kept in `benchmarks/.corpus`
and are the same each time: the packages' photographs do not change, and nothing is random without a fixed seed.
"""

import io
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont, ImageOps

from benchmarks import photographs
from benchmarks.report import say
from tests.camera import camera_exif
from tests.icc_profiles import DISPLAY_P3
from tests.pictures import flat_webp

FOLDER = photographs.FOLDER
Make = Callable[[str], bytes]
SENTENCE = "The origin keeps one original and derives every size of it on its first request."


@dataclass(frozen=True, slots=True)
class Picture:
    """Ratios are averaged over each `group`; `quick` marks the image of a group that quick runs take."""

    name: str
    group: str
    path: Path
    quick: bool


@dataclass(frozen=True, slots=True)
class Recipe:
    name: str
    group: str
    suffix: str
    photograph: str | None
    make: Make
    quick: bool = False


def as_shipped(photograph: str) -> bytes:
    return photographs.path(photograph).read_bytes()


def jpeg(photograph: str, **options: Any) -> bytes:
    return saved(
        photographs.opened(photograph), "JPEG", **{"quality": 92, "subsampling": "4:2:0", "optimize": True} | options
    )


def as_a_phone_saves_it(photograph: str) -> bytes:
    """Returns a baseline JPEG, stored sideways, in Display P3, with EXIF."""
    return jpeg(photograph, exif=camera_exif(orientation=6), icc_profile=DISPLAY_P3)


def png(photograph: str, *, side: int) -> bytes:
    image = photographs.opened(photograph)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    return saved(image, "PNG")


def cut_out(photograph: str, format: str, **options: Any) -> bytes:
    """Returns the photograph within a soft disc, transparent around it."""
    image = photographs.opened(photograph)
    faded = Image.radial_gradient("L").point([min(255, max(0, 640 - 4 * value)) for value in range(256)])
    image.putalpha(faded.resize(image.size, Image.Resampling.BICUBIC))
    return saved(image, format, **options)


def webp(photograph: str, **options: Any) -> bytes:
    return saved(photographs.opened(photograph), "WEBP", **{"quality": 85} | options)


def screenshot(_photograph: str, format: str = "PNG", **options: Any) -> bytes:
    """Draws three windows of text on a plain desktop, 2560x1440."""
    chance = random.Random(1)
    words = SENTENCE.split()
    image = Image.new("RGB", (2560, 1440), "#2f4858")
    draw = ImageDraw.Draw(image)
    for number, (left, top, width, height) in enumerate(
        [(60, 60, 1180, 1320), (1300, 60, 1200, 640), (1300, 760, 1200, 620)]
    ):
        draw.rounded_rectangle((left, top, left + width, top + height), 14, fill="#fdfdfb")
        draw.rounded_rectangle((left, top, left + width, top + 52), 14, fill="#d7dde0")
        font = ImageFont.load_default(18 + 4 * number)
        for y in range(top + 80, top + height - 40, 30 + 6 * number):
            line = " ".join(chance.choices(words, k=12 + 4 * number))
            while font.getlength(line) > width - 80:
                line = line.rpartition(" ")[0]
            draw.text((left + 40, y), line, fill=chance.choice(["#1d1d1f", "#1d1d1f", "#0b63c5"]), font=font)
    return saved(image, format, **options)


def extreme(photograph: str, format: str, *, blocks: int = 1, alpha: bool = False, **options: Any) -> bytes:
    """Returns 10000x10000 pixels. `blocks` repeats each pixel as a square of that side, which keeps lossless files
    small enough.
    """
    side = 10_000 // blocks
    image = ImageOps.fit(photographs.opened(photograph), (side, side), Image.Resampling.BICUBIC)
    if alpha:
        image.putalpha(Image.radial_gradient("L").resize(image.size))
    return saved(image.resize((10_000, 10_000), Image.Resampling.NEAREST), format, **options)


def bomb(_photograph: str) -> bytes:
    """Returns 10000x10000 pixels in 38 bytes."""
    return flat_webp(10_000, 10_000)


RECIPES = (
    Recipe("20 MP, as shipped", "JPEG", "jpg", "Kleiber_by_Lukas_Baubkus", as_shipped),
    Recipe("13 MP, of a phone", "JPEG", "jpg", "Dragonfly_by_Bolly", as_a_phone_saves_it, quick=True),
    Recipe("12 MP", "JPEG", "jpg", "sunset_by_Aitzol_Berasategi", jpeg),
    Recipe("8 MP", "JPEG", "jpg", "picosdeeuropa_by_Aitzol_Berasategi", jpeg),
    Recipe("6 MP, as shipped", "JPEG", "jpg", "free_by_Peter_Nerlich", as_shipped, quick=True),
    Recipe("2.5 MP, of a camera", "JPEG", "jpg", "Storm", as_shipped),
    Recipe("0.3 MP", "JPEG", "jpg", "rocket.jpg", as_shipped),
    Recipe("18 MP", "JPEG progressive", "jpg", "Elephants_5640x3172", partial(jpeg, quality=85, progressive=True)),
    Recipe("16 MP, as shipped", "JPEG progressive", "jpg", "seeding_by_Clements_Engelhardt", as_shipped),
    Recipe("6 MP, as shipped", "JPEG progressive", "jpg", "life_by_Aitzol_Berasategi", as_shipped, quick=True),
    Recipe("8 MP", "PNG", "png", "seeding_by_Clements_Engelhardt", partial(png, side=3770)),
    Recipe("4 MP", "PNG", "png", "picosdeeuropa_by_Aitzol_Berasategi", partial(png, side=2300), quick=True),
    Recipe("4 MP, cut out", "PNG", "png", "LadyBird", partial(cut_out, format="PNG")),
    Recipe("3.7 MP, screenshot", "PNG", "png", None, screenshot, quick=True),
    Recipe("0.3 MP", "PNG", "png", "astronaut.png", as_shipped),
    Recipe("13 MP", "WebP", "webp", "Dragonfly_by_Bolly", webp, quick=True),
    Recipe("12 MP", "WebP", "webp", "sunset_by_Aitzol_Berasategi", webp),
    Recipe("4 MP, cut out", "WebP", "webp", "LadyBird", partial(cut_out, format="WEBP", quality=85)),
    Recipe("3.7 MP, lossless screenshot", "WebP", "webp", None, partial(screenshot, format="WEBP", lossless=True)),
)
EXTREMES = (
    Recipe("JPEG", "10000x10000", "jpg", "Kleiber_by_Lukas_Baubkus", partial(extreme, format="JPEG", quality=85)),
    Recipe(
        "JPEG, progressive",
        "10000x10000",
        "jpg",
        "Kleiber_by_Lukas_Baubkus",
        partial(extreme, format="JPEG", quality=85, progressive=True),
    ),
    Recipe("PNG", "10000x10000", "png", "Storm", partial(extreme, format="PNG", blocks=10)),
    Recipe("PNG with alpha", "10000x10000", "png", "Storm", partial(extreme, format="PNG", blocks=10, alpha=True)),
    Recipe(
        "WebP",
        "10000x10000",
        "webp",
        "Kleiber_by_Lukas_Baubkus",
        partial(extreme, format="WEBP", quality=75, method=0),
    ),
    Recipe("WebP of 38 bytes, lossless", "10000x10000", "webp", None, bomb),
)


def pictures(*, quick: bool = False) -> list[Picture]:
    return list(made(recipe for recipe in RECIPES if recipe.quick or not quick))


def extremes() -> list[Picture]:
    return list(made(EXTREMES))


def made(recipes: Iterable[Recipe]) -> Iterator[Picture]:
    """Yields the images that exist or can be made; names the others on standard error."""
    for recipe in recipes:
        path = FOLDER / f"{slug(recipe.group)}-{slug(recipe.name)}.{recipe.suffix}"
        if not path.exists():
            if recipe.photograph and not photographs.find(recipe.photograph):
                say(f"missing: {recipe.group}, {recipe.name}: made of {recipe.photograph}")
                continue
            FOLDER.mkdir(exist_ok=True)
            begun = path.with_suffix(".part")
            begun.write_bytes(recipe.make(recipe.photograph or ""))
            begun.rename(path)
        yield Picture(recipe.name, recipe.group, path, recipe.quick)


def slug(text: str) -> str:
    return "".join(character if character.isalnum() else "-" for character in text.lower())


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
