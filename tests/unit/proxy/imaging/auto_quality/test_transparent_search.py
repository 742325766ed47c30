"""The search for a quality of transparent images."""

import pytest
from PIL import Image

from proxy.imaging.auto_quality.search import QUALITIES
from proxy.imaging.auto_quality.ssimulacra2 import Reference
from proxy.imaging.encode import flatten
from proxy.model import Format
from tests.pictures import disc
from tests.unit.proxy.imaging.auto_quality.test_ssimulacra2 import noisy
from tests.unit.proxy.imaging.auto_quality.wanted import LOSSY, at, found, sized, wanting
from tests.unit.proxy.imaging.reference import decoded

pytestmark = pytest.mark.heavy


@pytest.mark.heavy
@pytest.mark.parametrize("format", [Format.WEBP, Format.AVIF])
@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_scored_over_black_and_over_white(mode: str, format: Format) -> None:
    image = sized("coffee.png", 160, 160)
    image.putalpha(disc((0, 0, 0), 160).getchannel("A"))
    image = image.convert(mode)

    file, measured = found(image, wanting(80, format))

    over = {
        color: Reference(flatten(image.convert("RGBA"), color)).score(flatten(decoded(file).convert("RGBA"), color))
        for color in ("#000000", "#ffffff")
    }
    assert measured.score == min(over.values()) >= 80
    assert decoded(file).mode == "RGBA"


@pytest.mark.parametrize("format", [Format.WEBP, Format.AVIF])
def test_colours_of_transparent_pixels_are_not_scored(format: Format) -> None:
    shape = disc((0, 0, 0), 160).getchannel("A")
    plain, noise = Image.new("RGB", shape.size, "#808080"), noisy(Image.new("RGB", shape.size, "#808080"), 120)
    plain.putalpha(shape)
    hidden = Image.composite(plain.convert("RGB"), noise, shape.point([0] + [255] * 255))
    hidden.putalpha(shape)

    assert found(hidden, wanting(80, format)) == found(plain, wanting(80, format))


def test_transparency_in_jpeg_is_scored_over_its_background() -> None:
    image = sized("coffee.png", 160, 160)
    image.putalpha(disc((0, 0, 0), 160).getchannel("A"))
    wanted = wanting(80, Format.JPG, background="#204060")

    file, measured = found(image, wanted)

    assert measured.score == Reference(flatten(image, "#204060")).score(decoded(file))
    assert file == at(image, wanted, measured.quality)


@pytest.mark.parametrize("format", LOSSY)
def test_fully_transparent_image_has_a_quality(format: Format) -> None:
    _, measured = found(Image.new("RGBA", (120, 120)), wanting(80, format))

    assert measured.quality == QUALITIES[0]
