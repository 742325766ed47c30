"""The similarity score: against SSIMULACRA2 itself, and properties of any such score."""

from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageFilter

from proxy.imaging.auto_quality.ssimulacra2 import MIN_SIDE, Reference
from tests.photographs import COLOR_PHOTOGRAPHS, GREY_PHOTOGRAPHS, photograph
from tests.pictures import jpeg

Distortion = Callable[[Image.Image], Image.Image]


def scene() -> Image.Image:
    """Waves, gradients, edges and texture in colour, by formula: 384x320."""
    y, x = np.mgrid[0:320, 0:384].astype(np.float64)
    red = 128 + 70 * np.sin(x / 9) + 30 * np.sin((x + 2 * y) / 3.1)
    green = y * 0.6 + 40 * ((x // 48 + y // 40) % 2) + 12 * np.sin(x * y / 97)
    blue = 200 - x * 0.3 + 25 * np.cos(np.hypot(x - 190, y - 160) / 4)
    return Image.fromarray(np.clip(np.stack([red, green, blue], 2), 0, 255).astype(np.uint8))


def noisy(image: Image.Image, strength: int = 12) -> Image.Image:
    """Adds noise from a fixed sequence, the same in every version of every library."""
    pixels = np.asarray(image).astype(np.int64)
    bits = np.arange(1, pixels.size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    for _ in range(2):
        bits = (bits ^ (bits >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    noise = ((bits >> np.uint64(32)) % np.uint64(2 * strength + 1)).astype(np.int64) - strength
    return Image.fromarray(np.clip(pixels + noise.reshape(pixels.shape), 0, 255).astype(np.uint8))


def blocky(image: Image.Image, strength: float = 0.5) -> Image.Image:
    """Moves every pixel halfway to the mean of its 8x8 block."""
    blocks = image.reduce(8).resize(image.size, Image.Resampling.NEAREST)
    return Image.blend(image, blocks, strength)


def blurred(image: Image.Image, radius: float = 0.8) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def tinted(image: Image.Image, levels: int = 8) -> Image.Image:
    return ImageChops.add(image, Image.new("RGB", image.size, (levels, 0, 0)))


def recoded(image: Image.Image, quality: int) -> Image.Image:
    with Image.open(BytesIO(jpeg(image, quality=quality, subsampling="4:2:0"))) as again:
        return again.convert("RGB")


SCENE = scene()
DISTORTIONS: dict[str, Distortion] = {
    "noise 4": lambda image: noisy(image, 4),
    "noise 12": noisy,
    "blocks 0.2": lambda image: blocky(image, 0.2),
    "blocks 0.5": blocky,
    "blur 0.5": lambda image: blurred(image, 0.5),
    "blur 0.8": blurred,
    "tint 3": lambda image: tinted(image, 3),
    "tint 8": tinted,
}

PUBLISHED = {
    "noise 4": 88.96,
    "noise 12": 68.25,
    "blocks 0.2": 81.39,
    "blocks 0.5": 45.74,
    "blur 0.5": 82.88,
    "blur 0.8": 68.28,
    "tint 3": 94.96,
    "tint 8": 87.82,
}
"""The scores of the package ssimulacra2 0.3.0."""
NEAR = {"blocks 0.5": 2.5}  # points; low scores differ more, but are no targets
NEARLY = 1.25  # points, for all others


def likeness(image: Image.Image, other: Image.Image) -> float:
    return Reference(image).score(other)


def sized(name: str, width: int = 200, height: int = 150) -> Image.Image:
    return photograph(name).convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_score_is_near_that_of_ssimulacra2(name: str) -> None:
    score = likeness(SCENE, DISTORTIONS[name](SCENE))

    assert score == pytest.approx(PUBLISHED[name], abs=NEAR.get(name, NEARLY))


@pytest.mark.parametrize("name", [*COLOR_PHOTOGRAPHS, *GREY_PHOTOGRAPHS])
def test_image_compared_with_itself_scores_100(name: str) -> None:
    assert likeness(sized(name), sized(name)) == 100


@pytest.mark.heavy
@pytest.mark.parametrize("name", [*COLOR_PHOTOGRAPHS, *GREY_PHOTOGRAPHS])
def test_score_rises_with_jpeg_quality(name: str) -> None:
    image = sized(name)
    scores = [likeness(image, recoded(image, quality)) for quality in (20, 40, 60, 75, 85, 92, 98)]

    assert scores == sorted(scores)
    assert scores[0] < 65
    assert 80 < scores[-1] < 100


@pytest.mark.parametrize(
    "distort",
    [
        lambda image, step: blurred(image, 0.3 + 0.3 * step),
        lambda image, step: noisy(image, 4 * step),
        lambda image, step: blocky(image, 0.15 * step),
        lambda image, step: tinted(image, 5 * step),
    ],
    ids=["blur", "noise", "blockiness", "tint"],
)
@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "camera.png"])
def test_score_falls_with_distortion(name: str, distort: Callable[[Image.Image, int], Image.Image]) -> None:
    image = sized(name)
    scores = [100, *(likeness(image, distort(image, step)) for step in (1, 2, 3))]

    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == len(scores)


@pytest.mark.parametrize("turn", Image.Transpose)
def test_score_is_independent_of_orientation(turn: Image.Transpose) -> None:
    image, other = sized("chelsea.png", 208, 144), recoded(sized("chelsea.png", 208, 144), 60)

    turned = likeness(image.transpose(turn), other.transpose(turn))

    assert turned == pytest.approx(likeness(image, other), abs=0.05)


@pytest.mark.parametrize("size", [(MIN_SIDE, MIN_SIDE), (101, 103), (640, 100), (100, 640), (127, 255), (8, 8), (1, 1)])
def test_every_size_has_a_score(size: tuple[int, int]) -> None:
    image = sized("coffee.png", *size)

    assert likeness(image, image) == 100
    assert likeness(image, recoded(image, 30)) < 100


@pytest.mark.parametrize("color", ["#000000", "#ffffff", "#ff0000", "#0000ff", "#808080"])
def test_flat_image_has_a_score(color: str) -> None:
    flat = Image.new("RGB", (150, 150), color)

    assert likeness(flat, flat) == 100
    assert 90 < likeness(flat, recoded(flat, 85)) <= 100
    assert likeness(flat, SCENE.resize(flat.size)) < 0


def test_opposite_images_have_a_score() -> None:
    black, white = (Image.new("L", (150, 150), level) for level in (0, 255))

    assert likeness(black, white) < -50


def test_grey_scores_as_grey_in_rgb() -> None:
    grey = photograph("camera.png").resize((200, 200))
    other = blurred(grey)

    assert likeness(grey, other) == likeness(grey.convert("RGB"), other.convert("RGB"))
