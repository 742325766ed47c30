"""Watermarks as the last step: behind effects, on every kind of original, in animations and in copies."""

from collections.abc import Iterable
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from proxy.imaging import vips
from proxy.model import Fit, Format
from tests.animations import Part, animated_webp, apng, gif
from tests.photographs import photograph
from tests.pictures import jpeg, png
from tests.unit.proxy.imaging.reference import psnr, target
from tests.unit.proxy.imaging.watermarks import (
    BLUE,
    LOSSY,
    RED,
    WHITE,
    WIDE,
    WIDE_BOX,
    drawn,
    expected,
    files,
    flat,
    logo,
    marked,
)


class TestLastStep:
    @pytest.mark.parametrize(
        ("effect", "below"),
        [
            ({"grayscale": True}, (60, 60, 60)),
            ({"blur": 5.0}, BLUE),
            ({"sharpen": 5.0}, BLUE),
            ({"grayscale": True, "blur": 5.0}, (60, 60, 60)),
        ],
        ids=str,
    )
    def test_effects_do_not_change_the_watermark(self, effect: dict[str, Any], below: tuple[int, ...]) -> None:
        image = drawn(flat(BLUE), replace(marked(logo()), **effect), logo())

        assert image.tobytes() == expected(RED, WIDE_BOX, below).tobytes()

    def test_watermark_is_placed_on_the_whole_padded_canvas(self) -> None:
        padded = replace(WIDE, fit=Fit.PAD, background="#204060")

        image = drawn(flat(size=(120, 120)), marked(logo(), padded), logo())

        assert image.crop(WIDE_BOX).getcolors() == [(40 * 20, RED)]
        assert image.getpixel((199, 60)) == BLUE
        assert image.getpixel((100, 60)) == WHITE

    @pytest.mark.parametrize(
        "original",
        [
            flat(90, "L"),
            flat(90, "L", (400, 240)),
            png(Image.new("L", (200, 120), 90).convert("1", dither=Image.Dither.NONE)),
            png(Image.new("RGB", (200, 120), (90, 90, 90)).quantize(2)),
            png(Image.new("RGB", (200, 120), (90, 90, 90)), transparency=(1, 2, 3)),
            jpeg(Image.new("L", (200, 120), 90)),
        ],
        ids=["grey", "reduced grey", "bitmap", "palette", "colour key", "grey jpeg"],
    )
    def test_grey_and_palette_originals_get_its_colors(self, original: bytes) -> None:
        image = drawn(original, marked(logo()), logo())

        below = (0, 0, 0) if image.getpixel((0, 0)) == (0, 0, 0) else (90, 90, 90)
        assert image.tobytes() == expected(RED, WIDE_BOX, below).tobytes()

    @pytest.mark.parametrize("by_vips", [True, False])
    def test_original_with_the_color_key_of_the_watermark_keeps_its_color_key(
        self, by_vips: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The key is of the original's file: the watermark's pixels of that colour are opaque."""
        monkeypatch.setattr(vips, "is_installed", lambda: by_vips)
        original = png(Image.new("RGB", (200, 120), BLUE), transparency=RED)

        image = drawn(original, marked(logo()), logo())

        assert image.mode == "RGB"
        assert image.tobytes() == expected(RED, WIDE_BOX, BLUE).tobytes()

    def test_grey_watermark_leaves_a_grey_variant_grey(self) -> None:
        file = logo("#404040")

        assert drawn(flat(90, "L"), marked(file, target(200, 120, Format.JPG)), file).mode == "L"

    def test_few_colors_are_still_a_palette_in_png(self) -> None:
        [body] = files(flat(BLUE), [marked(logo())], logo())

        with Image.open(BytesIO(body)) as image:
            assert image.mode == "P"

    def test_copy_of_the_original_keeps_its_quality(self) -> None:
        """A copy gets a lower quality if it has more bytes than its original; the watermark is no copy."""
        original = jpeg(photograph("coffee.png").resize((200, 120)), quality=40)
        plain, wanted = target(200, 120, Format.JPG), marked(logo(), target(200, 120, Format.JPG))

        copy, watermarked, smaller = files(original, [plain, wanted, target(199, 119, Format.JPG)], logo())

        tables = [Image.open(BytesIO(body)).quantization for body in (copy, watermarked, smaller)]
        assert tables[1] == tables[2] != tables[0]

    def test_targets_of_one_request_have_the_bytes_of_single_ones(self) -> None:
        original, other = jpeg(photograph("coffee.png").resize((300, 200))), logo("#00ff00", (30, 30))
        plain = target(200, 120, Format.WEBP)
        targets = [plain, marked(logo(), plain), marked(other, plain), marked(logo(), plain, opacity=0.5), plain]
        targets += [replace(wanted, format=Format.PNG, quality=None) for wanted in targets]

        together = files(original, targets, logo(), other)

        assert together == [files(original, [wanted], logo(), other)[0] for wanted in targets]
        assert len(set(together)) == 8


def shown_frames(body: bytes) -> Iterable[Image.Image]:
    with Image.open(BytesIO(body)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            yield image.convert("RGBA")


@pytest.mark.parametrize("make", [gif, apng, animated_webp])
def test_every_frame_of_an_animation_shows_the_watermark(make: Any) -> None:
    parts = [Part(Image.new("RGBA", (200, 120), color)) for color in ("#204060", "#00ff00", "#ffffff")]
    wanted = replace(marked(logo(), target(200, 120, Format.WEBP)), animated=True)

    [body] = files(make((200, 120), parts), [wanted], logo())

    frames = list(shown_frames(body))
    assert len(frames) == 3
    for frame, below in zip(frames, (BLUE, (0, 255, 0), WHITE), strict=True):
        assert psnr(frame.convert("RGB"), expected(RED, WIDE_BOX, below)) > 35
        assert frame.getpixel((177, 107)) == pytest.approx((*RED, 255), abs=LOSSY)


def test_first_frame_in_other_formats_shows_the_watermark() -> None:
    parts = [Part(Image.new("RGBA", (200, 120), color)) for color in ("#204060", "#00ff00")]

    image = drawn(gif((200, 120), parts), marked(logo()), logo())

    assert image.convert("RGB").tobytes() == expected(RED, WIDE_BOX, BLUE).tobytes()
