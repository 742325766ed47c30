"""The pipeline against plain Pillow (full decode, exif_transpose, fit, profile, save), in one process."""

import io
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image, ImageCms, ImageOps

from benchmarks.report import interleaved, table
from proxy.imaging.pipeline import render
from proxy.imaging.probe import Limits
from proxy.imaging.target import Target
from proxy.model import Fit, Format
from proxy.settings import Quality
from tests.pictures import camera_jpeg, photograph_path

ROUNDS = 7
LIMITS = Limits(1, 16_383)
PLAIN_OPTIONS: dict[Format, dict[str, object]] = {
    Format.JPG: {"quality": 85, "progressive": True, "optimize": True},
    Format.PNG: {"compress_level": 9},
    Format.WEBP: {"quality": 85},
    Format.AVIF: {"quality": Quality().avif},
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sources = dict(originals(Path(folder)))
        table(
            "One variant, against plain Pillow with the specification's settings",
            ("source", "variant", "ms", "plain ms", "time", "KB", "bytes"),
            (row for name, path in sources.items() for row in singles(name, path)),
        )
        table(
            "All twelve standard variants of one original",
            ("source", "one decode, ms", "twelve requests, ms", "time"),
            (warm_up(name, path) for name, path in sources.items()),
        )


def originals(folder: Path) -> Iterator[tuple[str, Path]]:
    camera = folder / "camera.jpg"
    camera.write_bytes(camera_jpeg(orientation=6))
    yield "JPEG 12 MP", camera
    with Image.open(camera) as image:
        half = ImageOps.exif_transpose(image).resize((2016, 2688))
    half.save(folder / "half.png")
    yield "PNG 5 MP", folder / "half.png"
    half.save(folder / "half.webp", quality=90)
    yield "WebP 5 MP", folder / "half.webp"
    yield "JPEG 0.3 MP", photograph_path("rocket.jpg")


def singles(name: str, path: Path) -> Iterator[tuple[object, ...]]:
    for side in (150, 800):
        for format in Format:
            ours, plain = interleaved(ROUNDS, partial(derive, path, side, format), partial(naive, path, side, format))
            size, plain_size = len(derive(path, side, format)), len(naive(path, side, format))
            yield name, f"{side} {format}", ours, plain, ours / plain, size / 1024, size / plain_size


def warm_up(name: str, path: Path) -> tuple[object, ...]:
    targets = [target(side, format) for side in (150, 400, 800) for format in Format]
    together, apart = interleaved(
        ROUNDS,
        lambda: list(render(path, targets, LIMITS)),
        lambda: [list(render(path, [one], LIMITS)) for one in targets],
    )
    return name, together, apart, together / apart


def target(side: int, format: Format) -> Target:
    return Target(side, side, Fit.COVER, format, getattr(Quality(), format, None), "#ffffff", keep_exif=False)


def derive(path: Path, side: int, format: Format) -> bytes:
    [rendered] = render(path, [target(side, format)], LIMITS)
    return rendered.body


def naive(path: Path, side: int, format: Format) -> bytes:
    file = io.BytesIO()
    with Image.open(path) as image:
        fitted = ImageOps.fit(ImageOps.exif_transpose(image).convert("RGB"), (side, side), Image.Resampling.LANCZOS)
        if profile := fitted.info.pop("icc_profile", None):
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            fitted = ImageCms.profileToProfile(fitted, source, ImageCms.createProfile("sRGB"))
        fitted.save(file, "JPEG" if format is Format.JPG else format.upper(), **PLAIN_OPTIONS[format])
    return file.getvalue()
