"""The frames of a GIF (GIF89a specification; what it leaves open, as browsers do)."""

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import BinaryIO

from PIL import Image

from proxy.errors import Undecodable
from proxy.imaging.animation.composition import Dispose, Patch
from proxy.imaging.containers import Part, TooManyParts, gif_blocks, read_body
from proxy.imaging.decode import decode_frame
from proxy.imaging.metadata import MAX_GIF_BLOCKS
from proxy.imaging.original_file import FileInMemory, OriginalFile
from proxy.imaging.png_pixels import TRUNCATED

_IMAGE, _CONTROL, _APPLICATION = b",", b"\xf9", b"\xff"
_LOOPS = (b"\x0bNETSCAPE2.0", b"\x0bANIMEXTS1.0")
_DISPOSE = {2: Dispose.CLEAR, 3: Dispose.RESTORE, 4: Dispose.RESTORE}  # 4: some encoders mean 3 by it
_DESCRIPTOR = struct.Struct("<4HB")
_SCREEN = 13  # bytes of signature and screen descriptor
_MAX_TABLE = 3 * 256  # bytes of a colour table


@dataclass(frozen=True, slots=True)
class _Control:
    """A graphic control extension. `extension`: its bytes, reduced to the transparent colour."""

    milliseconds: Fraction = Fraction(0)
    dispose: Dispose = Dispose.KEEP
    extension: bytes = b""


def gif_loops(path: OriginalFile) -> int:
    """Returns how often a GIF is played, 0 for ever: once more than the file's number of repeats, if it has one."""
    with path.open("rb") as file, suppress(TooManyParts, struct.error):
        for block in gif_blocks(file, MAX_GIF_BLOCKS):
            if block.kind == _APPLICATION and read_body(file, block, 12) in _LOOPS:
                file.seek(block.start + 12)
                length, kind, repeats = struct.unpack("<BBH", file.read(4))
                if (length, kind & 7) == (3, 1):
                    return repeats + 1 if repeats else 0
    return 1


def gif_patches(path: OriginalFile, size: tuple[int, int]) -> Iterator[Patch]:
    """Yields what each frame of the GIF at `path` draws. `size`: its canvas in pixels.

    Raises Undecodable at the first frame that is damaged, or has more pixels than the canvas; TooHeavy.
    """
    with path.open("rb") as file:
        screen = file.read(_SCREEN)
        colors = screen[10:] + file.read(_MAX_TABLE)[: _table_bytes(screen[10])]
        for control, descriptor, data in _frames(file):
            if len(descriptor) < _DESCRIPTOR.size:
                raise Undecodable(TRUNCATED)
            left, top, width, height, flags = _DESCRIPTOR.unpack(descriptor)
            if not width or not height:  # draws nothing, but has a duration
                yield Patch(Image.new("RGB", (0, 0)), (0, 0), control.milliseconds, Dispose.KEEP)
                continue
            if width * height > size[0] * size[1]:
                raise Undecodable(TRUNCATED)
            sides = struct.pack("<HH", width, height)
            image = b",\0\0\0\0" + sides + bytes((flags,)) + data
            single = FileInMemory(b"GIF89a" + sides + colors + control.extension + image + b";")
            pixels = decode_frame(single, None).convert("RGBA")  # a grey palette gives L, and others may have colours
            yield Patch(pixels, (left, top), control.milliseconds, control.dispose)


def _frames(file: BinaryIO) -> Iterator[tuple[_Control, bytes, bytes]]:
    """Yields the control of each image, its descriptor, and what follows up to the next block."""
    end = Part(b"", file.seek(0, 2) + 1, 0)
    control, image = _Control(), None
    with suppress(TooManyParts):
        for block in chain(gif_blocks(file, MAX_GIF_BLOCKS), [end]):
            if image is not None:
                descriptor = read_body(file, image, image.length)
                start, following = file.tell(), block.start - (1 if block.kind in (_IMAGE, b"") else 2)
                yield control, descriptor, file.read(max(0, following - start))
                control, image = _Control(), None
            if block.kind == _IMAGE:
                image = block
            elif block.kind == _CONTROL:
                control = _read_control(read_body(file, block, 5))


def _read_control(body: bytes) -> _Control:
    if len(body) < 5:
        return _Control()
    flags, hundredths, key = struct.unpack("<xBHB", body)
    extension = b"!\xf9\x04" + bytes((flags & 1, 0, 0, key, 0))
    return _Control(Fraction(10 * hundredths), _DISPOSE.get(flags >> 2 & 7, Dispose.KEEP), extension)


def _table_bytes(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
