"""Small real photographs; `data/photographs/README.md` lists their sources and licences."""

from pathlib import Path

from PIL import Image

COLOR_PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "coffee.png", "retina.jpg", "rocket.jpg")
GREY_PHOTOGRAPHS = ("camera.png", "grass.png")
_FOLDER = Path(__file__).parent / "data/photographs"


def photograph_path(name: str) -> Path:
    return _FOLDER / name


def photograph_bytes(name: str) -> bytes:
    """chelsea.png is 301x199, coffee.png 300x200, rocket.jpg 640x427, retina.jpg 705x705."""
    return photograph_path(name).read_bytes()


def photograph(name: str) -> Image.Image:
    """Returns the decoded image without the file's metadata."""
    with Image.open(photograph_path(name)) as image:
        image.load()
    image.info = {}
    return image.copy()
