"""The client (clients/python) and the server agree on URLs and placeholders."""

from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from darkroom import variant_url
from ingest.web.placeholder import data_url
from proxy.model import Fit, Format, Size, Sizes
from tests.photographs import photograph
from tests.thumbhashes import opaque, transparent

ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
SIZES = Sizes(Size("small", 150, 150, Fit.COVER), Size("card-2", 300, None, Fit.INSIDE))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("density", [1, 2, 3])
def test_variant_url_is_parsed_by_the_origin(size: str, format: Format, density: int) -> None:
    prefix, name = variant_url(ID, size, format.value, density=density).rsplit("/", 1)

    variant = SIZES.parse(name)
    assert prefix == f"/images/{ID}"
    assert variant is not None
    assert (variant.size.name, variant.format, variant.density) == (size, format, density)


def decode(thumbhash: str) -> Image.Image:
    with Image.open(BytesIO(b64decode((data_url(thumbhash) or "").partition(",")[2], validate=True))) as image:
        image.load()
        assert (image.format, image.mode) == ("PNG", "RGB")
        return image.copy()


def distance(one: Image.Image, other: Image.Image) -> float:
    """Levels, root mean square."""
    samples: list[NDArray[np.float64]] = [np.asarray(image.convert("RGB"), np.float64) for image in (one, other)]
    return float(np.sqrt(np.mean((samples[0] - samples[1]) ** 2)))


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "coffee.png", "chelsea.png", "camera.png"])
def test_placeholder_looks_like_its_photograph(name: str) -> None:
    """It is less similar to the same photograph, turned or mirrored."""
    picture = photograph(name).convert("RGB")
    image = decode(opaque(picture))

    small = picture.resize(image.size, Image.Resampling.BOX)
    turned = [image.transpose(way) for way in (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_LEFT_RIGHT)]
    assert distance(image, small) < 0.6 * min(distance(one, small) for one in turned)


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "retina.jpg", "chelsea.png"])
def test_placeholder_of_a_photograph_is_short(name: str) -> None:
    assert len(data_url(opaque(photograph(name))) or "") < 400


def test_placeholder_of_a_transparent_image_is_left_out() -> None:
    assert data_url(transparent()) is None
