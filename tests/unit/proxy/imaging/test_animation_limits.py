"""Which images play, the limits of animations, and damaged frames."""

import struct
import time
from dataclasses import replace

import numpy as np
import pytest

from proxy.imaging.animation import animation_limits
from proxy.imaging.animation.animation_limits import MAX_DECODED, MAX_ENCODED, MAX_FRAMES, count_frames, is_played
from proxy.imaging.pipeline import render
from proxy.model import Fit, Format
from tests.animations import Part, animated_webp, apng, gif
from tests.pictures import chunk, png
from tests.unit.proxy.imaging.played import (
    BLUE,
    GREEN,
    LIMITS,
    RED,
    SIDE,
    SIZE,
    WHOLE,
    file_of,
    filled,
    frames_of,
    played,
)
from tests.unit.proxy.imaging.reference import on_disk, target


class TestStillImages:
    def test_other_formats_and_other_targets_give_the_first_frame(self) -> None:
        original = gif(SIZE, [Part(filled(RED, *SIZE)), Part(filled(BLUE, *SIZE))])
        for format in Format:
            wanted = replace(target(SIDE, SIDE, format), animated=False)
            [(frame, _)] = frames_of(file_of(original, wanted))
            assert np.abs(np.asarray(frame, int) - RED).max() <= 4, format

    def test_still_original_gives_the_bytes_of_a_size_that_is_not_animated(self) -> None:
        parts = [Part(filled(RED, *SIZE))]
        for original in (gif(SIZE, parts), apng(SIZE, parts), animated_webp(SIZE, parts), png(filled(RED, *SIZE))):
            assert file_of(original) == file_of(original, replace(WHOLE, animated=False))

    def test_one_request_gives_the_same_bytes_as_each_alone(self) -> None:
        original = gif(SIZE, [Part(filled(RED, *SIZE)), Part(filled(BLUE, *SIZE))])
        targets = [target(SIDE, SIDE, Format.PNG), WHOLE, target(SIDE, SIDE, Format.WEBP)]

        with on_disk(original) as path:
            together = {file.index: file.body for file in render(path, targets, LIMITS)}

        assert together == {number: file_of(original, wanted) for number, wanted in enumerate(targets)}
        assert len({*together.values()}) == 3


class TestLimits:
    def test_animation_is_played_up_to_the_limits(self) -> None:
        inside = replace(WHOLE, width=400, height=None, fit=Fit.INSIDE)
        for size, frames, expected in (
            ((100, 100), 1, False),
            ((100, 100), 2, True),
            ((100, 100), MAX_FRAMES, True),
            ((100, 100), MAX_FRAMES + 1, False),
            ((1000, 500), MAX_DECODED // 500_000, True),
            ((1000, 500), MAX_DECODED // 500_000 + 1, False),
            ((400, 200), MAX_ENCODED // 80_000, True),
            ((400, 200), MAX_ENCODED // 80_000 + 1, False),
        ):
            assert is_played(size, frames, inside) is expected, (size, frames)
        assert not is_played((100, 100), 2, replace(inside, animated=False))

    def test_animation_beyond_the_limits_gives_its_first_frame(self, monkeypatch: pytest.MonkeyPatch) -> None:
        parts = [Part(filled((50 * shade, 0, 0, 255), *SIZE), delay=100) for shade in range(5)]
        monkeypatch.setattr(animation_limits, "MAX_FRAMES", 4)
        for make in (gif, apng, animated_webp):
            assert len(played(make(SIZE, parts))) == 1
            assert len(played(make(SIZE, parts[:4]))) == 4

    def test_frames_are_counted_but_not_believed(self) -> None:
        parts = [Part(filled(color, *SIZE), delay=100) for color in (RED, GREEN, BLUE)]
        for original, frames in (
            (gif(SIZE, parts), 3),
            (apng(SIZE, parts), 3),
            (apng(SIZE, parts, frames=1 << 31), 3),
            (apng(SIZE, parts, frames=2), 2),
            (apng(SIZE, parts, frames=0), 1),
            (animated_webp(SIZE, parts), 3),
            (png(filled(RED)), 1),
            (b"GIF89a", 1),
            (b"", 1),
        ):
            with on_disk(original) as path:
                assert count_frames(path) == frames
        assert len(played(apng(SIZE, parts, frames=1 << 31))) == 3
        assert len(played(apng(SIZE, parts, frames=2))) == 2

    def test_no_more_frames_are_played_than_were_counted(self) -> None:
        """A second announcement may state any number."""
        original = apng(SIZE, [Part(filled(color, *SIZE), delay=100) for color in (RED, GREEN, BLUE)], frames=2)
        twice = original[:53] + chunk(b"acTL", struct.pack(">II", 1 << 31, 0)) + original[53:]

        with on_disk(twice) as path:
            assert count_frames(path) == 2
        assert len(played(twice)) == 2

    def test_colors_that_every_frame_would_repeat_are_bounded(self) -> None:
        original = apng(SIZE, [Part(filled(color, *SIZE), delay=100) for color in (RED, GREEN)])
        for colors, frames in (([768], 2), ([771], 1), ([3] * 3, 1)):
            palettes = b"".join(chunk(b"PLTE", bytes(size)) for size in colors)
            assert len(played(original[:33] + palettes + original[33:])) == frames

    @pytest.mark.long
    def test_hundred_thousand_frames_are_counted_in_no_time(self) -> None:
        dot = [Part(filled(RED, 2, 2), delay=100)]
        first = gif((200, 200), [Part(filled(RED, 200, 200))])
        many_gif = first[:-1] + gif((200, 200), dot)[13 + 19 : -1] * 100_000 + b";"
        body = animated_webp((200, 200), [Part(filled(RED, 200, 200), delay=100), *dot])
        many_webp = body + body[-(len(animated_webp((200, 200), dot)) - 44) :] * 100_000
        many_webp = many_webp[:4] + (len(many_webp) - 8).to_bytes(4, "little") + many_webp[8:]
        for original in (many_gif, many_webp):
            with on_disk(original) as path:
                start = time.process_time()
                assert count_frames(path) == MAX_FRAMES + 1
                assert time.process_time() - start < 0.5


class TestDamage:
    PARTS = tuple(Part(filled((80 * shade, 0, 0, 255), *SIZE), delay=100) for shade in range(4))

    def test_animation_ends_before_its_first_damaged_frame(self) -> None:
        for make in (gif, apng):
            whole = make(SIZE, self.PARTS)
            ends = [len(make(SIZE, self.PARTS[:count])) for count in range(1, 5)]
            for at, expected in ((ends[2] + 40, 3), (ends[1] + 40, 2)):
                assert len(played(whole[:at])) == expected, (make, at)

    def test_damage_behind_the_first_frame_gives_the_first_frame(self) -> None:
        for make in (gif, apng):
            cut = make(SIZE, self.PARTS)[: len(make(SIZE, self.PARTS[:1])) + 40]
            assert file_of(cut) == file_of(cut, replace(WHOLE, animated=False))

    def test_wrong_checksum_number_or_rectangle_of_a_png_ends_the_animation(self) -> None:
        whole = apng(SIZE, self.PARTS)
        control = whole.rindex(b"fcTL")
        fields = whole[control + 4 : control + 30]
        for wrong in (
            b"\0\0\0\x09" + fields[4:],
            fields[:4] + b"\0\0\0\0" + fields[8:],
            fields[:12] + b"\0\0\0\x01" + fields[16:],
            fields[:-2] + b"\x03" + fields[-1:],
            fields[:-1] + b"\x02",
        ):
            assert len(played(whole[: control - 4] + chunk(b"fcTL", wrong) + whole[control + 34 :])) == 3, wrong
        assert len(played(whole[:-14] + bytes([whole[-14] ^ 1]) + whole[-13:])) == 3  # in the last checksum

    def test_frame_of_a_gif_that_is_larger_than_its_canvas_ends_the_animation(self) -> None:
        file = gif(SIZE, [*self.PARTS[:2], Part(filled(BLUE, 65, 16)), self.PARTS[2]])

        assert len(played(file)) == 2

    def test_frame_of_a_gif_without_pixels_takes_its_time(self) -> None:
        whole = gif(SIZE, self.PARTS[:3])
        second = whole.index(b",", len(gif(SIZE, self.PARTS[:1])))
        for sides in (b"\0\0\x20\0", b"\x20\0\0\0"):
            file = whole[: second + 5] + sides + whole[second + 9 :]
            frames = played(file)
            assert [frame.getpixel((8, 8))[0] for frame, _ in frames] == [0, 160]
            assert [milliseconds for _, milliseconds in frames] == [2000, 1000]

    def test_damaged_frame_of_a_webp_ends_the_animation(self) -> None:
        whole = bytearray(animated_webp(SIZE, self.PARTS))
        last = whole.rindex(b"VP8L") + 8
        whole[last + 5 : last + 12] = b"\xff" * 7

        assert len(played(bytes(whole))) == 3
