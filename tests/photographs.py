"""Real photographs: those that come with scikit-image, a development dependency."""

from importlib.util import find_spec
from pathlib import Path

from PIL import Image

COLOR_PHOTOGRAPHS = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
GREY_PHOTOGRAPHS = ("camera.png", "moon.png")


def photograph_path(name: str) -> Path:
    spec = find_spec("skimage")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "data" / name


def photograph_bytes(name: str) -> bytes:
    """chelsea.png is 451x300, rocket.jpg 640x427, retina.jpg 1411x1411."""
    return photograph_path(name).read_bytes()


def photograph(name: str) -> Image.Image:
    """Decoded, and without what its file said beside the pixels."""
    with Image.open(photograph_path(name)) as image:
        image.load()
    image.info = {}
    return image.copy()
