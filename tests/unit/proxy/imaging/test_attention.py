"""Crops around the most striking part: a saturated square on grey."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from proxy.imaging import vips
from proxy.imaging.limits import Limits
from proxy.imaging.pipeline import render
from proxy.imaging.target import Target
from proxy.model import Position
from tests.camera import oriented
from tests.pictures import jpeg, png
from tests.unit.proxy.imaging.reference import picture, target

RED = (230, 30, 20)
NARROW = replace(target(60, 120), position=Position.ATTENTION)


def scene(at: tuple[int, int], size: tuple[int, int] = (480, 240), side: int = 40) -> Image.Image:
    image = Image.new("RGB", size, (128, 128, 128))
    image.paste(RED, (*at, at[0] + side, at[1] + side))
    return image


def has_red(image: Image.Image) -> bool:
    return has("R", image)


def has(channel: str, image: Image.Image) -> bool:
    """Whether a pixel is saturated in this channel of RGB."""
    image = image.convert("RGB")
    first, *others = (image.getchannel(each).tobytes() for each in sorted("RGB", key=lambda each: each != channel))
    return max(one - max(rest) for one, *rest in zip(first, *others, strict=True)) > 120


@pytest.mark.heavy
@pytest.mark.parametrize("x", [0, 60, 220, 400, 440])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_crop_in_every_orientation_shows_the_most_conspicuous_part(orientation: int, x: int) -> None:
    file = oriented(scene((x, 100)), orientation)

    assert has_red(picture(file, NARROW))
    assert has_red(picture(file, replace(NARROW, position=Position.CENTER))) == (120 < x < 330)


def test_crop_of_a_tall_image_moves_down() -> None:
    wide = replace(target(120, 60), position=Position.ATTENTION)

    assert has_red(picture(jpeg(scene((100, 430), (240, 480))), wide))


def test_hidden_colours_draw_no_attention() -> None:
    image = scene((200, 40), (240, 120))  # so small that it is searched at its own size
    image.paste((70, 90, 230), (10, 50, 30, 70))
    mask = Image.new("L", image.size, 255)
    mask.paste(0, (190, 0, 240, 120))
    image.putalpha(mask)  # hides the red square, not the blue one

    assert has("B", picture(png(image), NARROW))
    assert not has("B", picture(png(image.convert("RGB")), NARROW))


def test_target_of_the_aspect_ratio_of_the_image_needs_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vips, "attention", None)
    whole = replace(target(96, 48), position=Position.ATTENTION)

    assert picture(jpeg(scene((0, 0))), whole).tobytes() == picture(jpeg(scene((0, 0))), target(96, 48)).tobytes()


@pytest.mark.heavy
def test_variant_has_the_same_bytes_alone_and_with_others(tmp_path: Path) -> None:
    path = tmp_path / "original"
    path.write_bytes(jpeg(scene((400, 100), (2400, 1200))))
    targets: list[Target] = [replace(NARROW, width=side, height=side) for side in (40, 900, 200)]

    together = {file.index: file.body for file in render(path, targets, Limits(1, 10_000))}

    alone = [next(iter(render(path, [each], Limits(1, 10_000)))).body for each in targets]
    assert [together[index] for index in range(3)] == alone
