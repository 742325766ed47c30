"""Animations: the pixels and times of each frame, against values that are known; limits, and damaged frames."""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from proxy.imaging.pipeline import render
from proxy.model import Fit, Focus, Format, Position
from tests.animations import Part, animated_webp, apng, gif, idat, joined
from tests.camera import camera_exif
from tests.icc_profiles import DISPLAY_P3
from tests.pictures import png, png_header, raw_png, save
from tests.unit.proxy.imaging.played import (
    BLUE,
    CLEAR,
    GREEN,
    HALF,
    LEFT_BOTTOM,
    LIMITS,
    MIXED,
    RED,
    RIGHT_TOP,
    SIZE,
    WHOLE,
    colors,
    file_of,
    filled,
    frames_of,
    played,
    times,
)
from tests.unit.proxy.imaging.reference import on_disk

WITH_A_HOLE = filled(BLUE)
WITH_A_HOLE.paste(CLEAR, (0, 0, 16, 12))  # what is left is below the place that is looked at


class TestComposition:
    @staticmethod
    def three(dispose: int, patch: Image.Image, blend: int = 0, last_blend: int = 0) -> list[Part]:
        """Red; `patch` at the right top; green at the left bottom."""
        return [
            Part(filled(RED, *SIZE)),
            Part(patch, RIGHT_TOP, dispose=dispose, blend=blend),
            Part(filled(GREEN), LEFT_BOTTOM, blend=last_blend),
        ]

    def check(self, file: bytes, second: Any, third: Any, case: object) -> None:
        expected = [[RED, RED, RED, RED], [RED, second, RED, RED], [RED, third, GREEN, RED]]
        found = np.array(colors(played(file)), int)
        assert found.shape == (3, 4, 4), case
        assert np.abs(found - np.array(expected)).max() <= 2, (case, found.tolist())

    def test_gif_frames_are_disposed_of_by_their_disposal_method(self) -> None:
        for dispose, after in {0: BLUE, 1: BLUE, 2: CLEAR, 3: RED, 4: RED}.items():
            self.check(gif(SIZE, self.three(dispose, filled(BLUE))), BLUE, after, dispose)

    def test_transparent_pixels_of_a_gif_show_the_frame_below(self) -> None:
        for dispose, after in {1: RED, 2: CLEAR, 3: RED}.items():
            self.check(gif(SIZE, self.three(dispose, WITH_A_HOLE)), RED, after, dispose)

    def test_png_frames_are_blended_and_disposed_of_by_their_control_chunk(self) -> None:
        for blend, during in {0: HALF, 1: MIXED}.items():
            for dispose, after in {0: during, 1: CLEAR, 2: RED}.items():
                parts = self.three(dispose, filled(HALF), blend)
                self.check(apng(SIZE, parts), during, after, (blend, dispose))

    def test_webp_frames_are_blended_and_disposed_of_by_their_flags(self) -> None:
        for blend, during in {0: MIXED, 1: HALF}.items():
            for dispose, after in {0: during, 1: CLEAR}.items():
                parts = [replace(part, delay=100) for part in self.three(dispose, filled(HALF), blend)]
                self.check(animated_webp(SIZE, parts), during, after, (blend, dispose))

    def test_frames_beyond_the_canvas_of_a_gif_are_cut_off(self) -> None:
        parts = [Part(filled(RED, *SIZE)), Part(filled(BLUE, 24, 24), (16, 16)), Part(filled(GREEN), (500, 500))]
        parts.append(Part(filled(GREEN), LEFT_BOTTOM))

        frames = played(gif(SIZE, parts))

        assert colors(frames)[1] == [RED, RED, RED, BLUE]
        assert colors(frames)[-1] == [RED, RED, GREEN, BLUE]
        assert sum(milliseconds for _, milliseconds in frames) == 400

    def test_first_frame_may_leave_the_canvas_transparent(self) -> None:
        parts = [Part(filled(BLUE), RIGHT_TOP, dispose=3), Part(filled(GREEN), LEFT_BOTTOM)]

        assert colors(played(gif(SIZE, parts))) == [[CLEAR, BLUE, CLEAR, CLEAR], [CLEAR, CLEAR, GREEN, CLEAR]]

    def test_image_that_is_no_frame_of_a_png_is_not_shown(self) -> None:
        parts = [Part(filled(RED, *SIZE)), Part(filled(BLUE), RIGHT_TOP)]

        file = apng(SIZE, parts, hidden=idat(png(filled(GREEN, *SIZE))))

        assert colors(played(file)) == [[RED] * 4, [RED, BLUE, RED, RED]]

    def test_grey_deep_and_indexed_frames_of_a_png_have_their_colors(self) -> None:
        levels = (51, 102, 204)  # which the palette has
        files = {}
        for mode in ("L", "RGB", "P"):
            shown = [Image.new("RGB", SIZE, (level,) * 3).convert(mode) for level in levels]
            files[mode] = save(shown[0], "PNG", save_all=True, append_images=shown[1:], duration=100)
        deep = [raw_png(np.full(SIZE, 257 * level), 16) for level in levels]
        files["16 bits"] = joined(deep, png_header(*SIZE, 16, 0))
        for kind, file in files.items():
            found = np.array([frame.getpixel((8, 8)) for frame, _ in played(file)])
            assert found.shape == (3, 4), kind
            assert np.abs(found - [[level, level, level, 255] for level in levels]).max() <= 2, kind


class TestTimes:
    def test_gif_delays_are_shown_as_browsers_do(self) -> None:
        parts = [
            Part(filled((36 * shade, 0, 0, 255), *SIZE), delay=delay) for shade, delay in enumerate((0, 1, 2, 5, 65535))
        ]

        assert times(gif(SIZE, parts)) == [100, 100, 20, 50, 655_350]

    def test_png_delays_are_fractions_that_add_up(self) -> None:
        delays = ((1, 30), (1, 30), (1, 30), (1, 0), (0, 7), (3, 2), (65535, 1))
        parts = [Part(filled((36 * shade, 0, 0, 255), *SIZE), delay=delay) for shade, delay in enumerate(delays)]

        assert times(apng(SIZE, parts)) == [33, 34, 33, 100, 100, 1500, 655_350]

    def test_webp_delays_are_kept_but_for_those_that_browsers_replace(self) -> None:
        parts = [
            Part(filled((36 * shade, 0, 0, 255), *SIZE), delay=delay) for shade, delay in enumerate((0, 10, 11, 400))
        ]

        assert times(animated_webp(SIZE, parts)) == [100, 100, 11, 400]

    def test_number_of_plays_is_kept(self) -> None:
        parts = [Part(filled(RED, *SIZE)), Part(filled(BLUE, *SIZE))]
        cases = {
            **{gif(SIZE, parts, repeats): plays for repeats, plays in ((None, 1), (0, 0), (1, 2), (65_535, 65_535))},
            **{apng(SIZE, parts, plays=said): plays for said, plays in ((0, 0), (1, 1), (5, 5), (1 << 31, 65_535))},
            **{animated_webp(SIZE, parts, plays): plays for plays in (0, 1, 7)},
        }
        for file, plays in cases.items():
            with Image.open(BytesIO(file_of(file))) as image:
                assert (image.info["loop"], image.n_frames) == (plays, 2)


@pytest.mark.heavy
def test_every_frame_gets_the_steps_of_a_still_image() -> None:
    """Crop, effects, colours, orientation and metadata: each frame is compared with its own PNG as an original."""
    y, x = np.mgrid[:48, :64]
    shown = []
    for shift in range(3):
        image = Image.fromarray(np.dstack([x * 4, y * 5, (x + y) * 2, np.minimum(255, x * 8)]).astype(np.uint8))
        image.paste((200, 40 * shift, 90, 255), (10 + 12 * shift, 8, 26 + 12 * shift, 30))
        shown.append(image)
    options: dict[str, Any] = {"icc_profile": DISPLAY_P3, "exif": camera_exif(6)}
    original = save(shown[0], "PNG", save_all=True, append_images=shown[1:], duration=100, blend=0, **options)
    small = replace(WHOLE, width=24, height=24)
    for wanted in (
        small,
        replace(small, width=40, height=None, fit=Fit.INSIDE),
        replace(small, fit=Fit.PAD, background="#204060"),
        replace(small, grayscale=True, blur=1.5),
        replace(small, sharpen=1.0, width=96, height=96),
        replace(small, width=12, position=Position.FOCUS, focus=Focus("0.2,0.9")),
    ):
        file = file_of(original, wanted)
        assert b"EXIF" not in file
        assert b"ICCP" not in file
        frames = frames_of(file)
        assert len(frames) == 3
        for (frame, _), still in zip(frames, shown, strict=True):
            single = replace(wanted, format=Format.PNG, quality=None, animated=False)
            expected = frames_of(file_of(png(still, **options), single))[0][0]
            difference = np.abs(np.asarray(frame.convert("RGBa"), int) - np.asarray(expected.convert("RGBa"), int))
            assert frame.size == expected.size
            assert difference.mean() < 7, wanted  # of lossy pixels with half the chroma


def test_attention_crops_all_frames_around_one_point() -> None:
    shown = [Image.new("RGBA", (64, 32), (90, 90, 90, 255)) for _ in range(2)]
    for frame, left in zip(shown, (4, 44), strict=True):
        frame.paste((230, 30, 30, 255), (left, 8, left + 16, 24))
    wanted = replace(WHOLE, position=Position.ATTENTION)
    first, second = [
        np.asarray(frame, int) for frame, _ in played(gif((64, 32), [Part(each) for each in shown]), wanted)
    ]

    assert (first[:, :, 0] > 200).sum() > 200
    assert (second[:, :, 0] > 200).sum() < 100


def test_exif_is_kept_if_asked_for_and_quality_is_searched_for_once() -> None:
    shown = [Image.linear_gradient("L").resize((120, 120)).rotate(90 * turn).convert("RGB") for turn in range(3)]
    original = save(shown[0], "PNG", save_all=True, append_images=shown[1:], duration=100, exif=camera_exif(1))

    with on_disk(original) as path:
        [file] = render(path, [replace(WHOLE, width=100, height=100, score=70.0, keep_exif=True)], LIMITS)

    assert b"EXIF" in file.body
    assert file.measured is not None
    assert set(file.timings) == {"decode", "resize", "encode"}
    assert len(frames_of(file.body)) == 3
