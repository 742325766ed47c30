"""The allowed results of a real file, without Darkroom's code: its type by its content, and by what decoders return.

`python -m tests.hostile.judge FOLDER [EVERY]` prints a JSON object: for each file below it, or for one in EVERY, the
allowed results. Run it in a process of its own, because some files are meant to crash decoders.
"""

import json
import sys
import warnings
from pathlib import Path

import pyvips
from PIL import Image

MIN_SIDE, MAX_SIDE = 100, 10_000


def outcomes(path: Path) -> list[str]:
    content = path.read_bytes()
    if not content:
        return ["missing_image"]
    picture = content.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")) or content[:4] + content[8:12] == b"RIFFWEBP"
    if not picture:
        return ["unsupported_format"]
    size = _size(path)
    if size is None:
        return ["undecodable"]
    if max(size) > MAX_SIDE:
        return ["too_many_pixels"]
    if min(size) < MIN_SIDE:
        return ["too_small"]
    verdicts = {_by_pillow(path), _by_vips(path)}
    return sorted({"accepted" if sound else "undecodable" for sound in verdicts})


def _size(path: Path) -> tuple[int, int] | None:
    try:
        with Image.open(path, formats=("JPEG", "PNG", "WEBP")) as image:
            return image.size
    except Exception:  # a broken header can raise anything
        return None


def _by_pillow(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except Exception:  # as above
        return False
    return True


def _by_vips(path: Path) -> bool:
    try:
        pyvips.Image.new_from_file(str(path), access="sequential", fail_on="truncated").avg()
    except pyvips.Error:
        return False
    return True


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    Image.MAX_IMAGE_PIXELS = None
    folder = Path(sys.argv[1])
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".py")
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    print(json.dumps({str(path.relative_to(folder)): outcomes(path) for path in files[::every]}))
