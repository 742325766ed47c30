"""Photographs from packages: Debian's wallpapers of 2 to 20 megapixels, and scikit-image's small ones.

All are free to use. Debian's packages are unpacked, not installed; scikit-image is one of the peers.
"""

import shutil
import subprocess
from functools import cache
from pathlib import Path

from PIL import Image

from benchmarks.peers import install
from benchmarks.report import say

FOLDER = Path(__file__).with_name(".corpus")
PHOTOGRAPHS = {
    "sunset_by_Aitzol_Berasategi": "lomiri-wallpapers-16.04",
    "Dragonfly_by_Bolly": "lomiri-wallpapers-16.04",
    "seeding_by_Clements_Engelhardt": "lomiri-wallpapers-16.04",
    "life_by_Aitzol_Berasategi": "lomiri-wallpapers-16.04",
    "picosdeeuropa_by_Aitzol_Berasategi": "lomiri-wallpapers-16.04",
    "free_by_Peter_Nerlich": "lomiri-wallpapers-16.04",
    "Kleiber_by_Lukas_Baubkus": "lomiri-wallpapers-20.04",
    "Elephants_5640x3172": "mate-backgrounds",
    "Storm": "mate-backgrounds",
    "LadyBird": "mate-backgrounds",
}
"""Debian's photographs, and their packages."""
SKIMAGE = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
"""In colour, of 0.1 to 2 megapixels."""


def opened(name: str) -> Image.Image:
    """Returns the image as RGB, without the file's metadata."""
    with Image.open(path(name)) as image:
        pixels = image.convert("RGB")
    pixels.info = {}
    return pixels


def path(name: str) -> Path:
    found = find(name)
    assert found is not None
    return found


def find(name: str) -> Path | None:
    if name in SKIMAGE:
        python = install.python("tools")
        packages = python.parents[1].glob("lib/python3*/site-packages") if python else ()
        return next((folder / "skimage/data" / name for folder in packages), None)
    package = FOLDER / "packages" / PHOTOGRAPHS[name]
    if not package.exists():
        fetch(PHOTOGRAPHS[name], package)
    return next(package.rglob(f"{name}.jpg"), None)


@cache
def fetch(name: str, package: Path) -> None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        say(f"missing: {name} (no apt-get and dpkg-deb here)")
        return
    begun = FOLDER / "downloads" / name
    begun.mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "download", "-q", name], cwd=begun, capture_output=True, check=False)
    archive = next(begun.glob("*.deb"), None)
    if archive is None:
        say(f"missing: {name} (apt-get download failed; apt-get update may help)")
        return
    subprocess.run(["dpkg-deb", "-x", archive, begun / "unpacked"], check=True)
    package.parent.mkdir(exist_ok=True)
    (begun / "unpacked").rename(package)
    shutil.rmtree(begun)
