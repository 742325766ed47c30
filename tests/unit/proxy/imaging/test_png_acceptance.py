"""PNG is accepted by its pixels: damage in other chunks is ignored, missing or damaged pixels are refused."""

import struct
import zlib
from contextlib import nullcontext

import numpy as np
import pytest

from proxy.errors import Undecodable
from proxy.imaging.inspect import inspect
from tests.photographs import photograph
from tests.pictures import chunk, png, raw_png
from tests.unit.proxy.imaging.reference import LIMITS, on_disk, rendered, target

PHOTOGRAPH = photograph("coffee.png").resize((150, 120))
DEEP = np.asarray(PHOTOGRAPH, np.int64) * 257
PNGS = {"8 bits": png(PHOTOGRAPH), "16 bits": raw_png(DEEP, 16), "palette": png(PHOTOGRAPH.quantize(40))}
WANTED = target(100, 100)
AFTER_HEADER = 33


def broken(kind: bytes, body: bytes) -> bytes:
    """A chunk with a wrong checksum."""
    whole = chunk(kind, body)
    return whole[:-1] + bytes([whole[-1] ^ 1])


DAMAGED = {
    **{
        f"{kind.decode()}, {name}": make(kind, b"\1\2\3\4\5")
        for kind in (
            b"iTXt",
            b"tEXt",
            b"zTXt",
            b"iCCP",
            b"sRGB",
            b"gAMA",
            b"cHRM",
            b"pHYs",
            b"acTL",
            b"fcTL",
            b"eXIf",
            b"cICP",
        )
        for name, make in (("wrong checksum", broken), ("wrong length", chunk))
    },
    **{f"{kind.decode()}, empty": chunk(kind, b"") for kind in (b"tIME", b"bKGD", b"sBIT", b"hIST", b"iTXt", b"acTL")},
    "iCCP, unknown compression": chunk(b"iCCP", b"name\0\7" + zlib.compress(b"profile")),
    "zTXt, no compression": chunk(b"zTXt", b"name\0\0garbage"),
    "iTXt of 1.5 MB": chunk(b"iTXt", b"name\0\1\0\0\0" + zlib.compress(bytes(1_500_000))),
    "zTXt of 5 MB that is no bomb": chunk(
        b"zTXt", b"name\0\0" + zlib.compress(np.random.default_rng(1).integers(0, 4, 5_000_000, np.uint8).tobytes(), 1)
    ),
}


@pytest.mark.heavy
@pytest.mark.usefixtures("decoder")
@pytest.mark.promise("A1")
@pytest.mark.parametrize("name", DAMAGED)
def test_damage_in_unused_chunks_of_a_png_changes_nothing(name: str) -> None:
    for whole in PNGS.values():
        damaged = whole[:AFTER_HEADER] + DAMAGED[name] + whole[AFTER_HEADER:]

        assert rendered(damaged, WANTED) == rendered(whole, WANTED)


def with_wrong_checksum(whole: bytes, kind: bytes) -> bytes:
    at = whole.index(kind)
    end = at + 4 + int.from_bytes(whole[at - 4 : at])
    return whole[:end] + bytes([whole[end] ^ 1]) + whole[end + 1 :]


@pytest.mark.usefixtures("decoder")
@pytest.mark.promise("A1")
@pytest.mark.parametrize("name", PNGS)
@pytest.mark.parametrize("kind", [b"IHDR", b"IDAT"])
def test_damaged_pixels_of_a_png_are_refused_in_every_depth(name: str, kind: bytes) -> None:
    with pytest.raises(Undecodable):
        rendered(with_wrong_checksum(PNGS[name], kind), WANTED)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("missing", [1, 12, 14, 16])
def test_png_without_its_end_is_accepted(missing: int) -> None:
    for whole in PNGS.values():
        assert rendered(whole[:-missing], WANTED) == rendered(whole, WANTED)


@pytest.mark.usefixtures("decoder")
def test_png_without_its_last_pixels_is_refused() -> None:
    for whole in PNGS.values():
        with pytest.raises(Undecodable):
            rendered(whole[:-30] + chunk(b"IEND", b""), WANTED)


def with_rows(whole: bytes, rows: bytes) -> bytes:
    start = whole.index(b"IDAT") - 4
    return whole[:start] + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("missing", [1, 10, 120])
def test_png_without_whole_rows_is_refused_in_every_depth(missing: int) -> None:
    """Although nothing is damaged: the data ends as it should, only too early."""
    for whole in PNGS.values():
        start = whole.index(b"IDAT")
        rows = zlib.decompress(whole[start + 4 : start + 4 + int.from_bytes(whole[start - 4 : start])])
        kept = rows[: len(rows) // PHOTOGRAPH.height * (PHOTOGRAPH.height - missing)]
        with on_disk(with_rows(whole, kept)) as path, pytest.raises(Undecodable, match="truncated"):
            inspect(path, LIMITS)
        with on_disk(with_rows(whole, rows)) as path:
            inspect(path, LIMITS)


@pytest.mark.parametrize(("missing", "accepted"), [(0, True), (1, False)])
def test_rows_of_an_interlaced_png_are_counted(missing: int, accepted: bool) -> None:
    for sides in [(101, 103), (128, 100)]:
        header = struct.pack(">IIBBBBB", *sides, 16, 0, 0, 0, 1)
        passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
        rows = [len(range(t, sides[1], down)) * [1 + 2 * len(range(x, sides[0], by))] for x, t, by, down in passes]
        packed = zlib.compress(bytes(sum(map(sum, rows)) - missing * rows[-1][0]))
        whole = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
        with on_disk(whole) as path, nullcontext() if accepted else pytest.raises(Undecodable):
            inspect(path, LIMITS)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("depth", [8, 16])
def test_transparency_and_colours_of_a_wrong_length_are_ignored(depth: int) -> None:
    color, grey = (DEEP, DEEP[:, :, 0]) if depth == 16 else (DEEP // 257, DEEP[:, :, 0] // 257)
    for samples in (color, grey, np.dstack([color, grey])):
        whole = raw_png(samples, depth)
        for useless in (chunk(b"tRNS", b"a"), chunk(b"PLTE", b"ab"), broken(b"PLTE", b"abc")):
            damaged = whole[:AFTER_HEADER] + useless + whole[AFTER_HEADER:]

            assert rendered(damaged, WANTED) == rendered(whole, WANTED)


@pytest.mark.promise("A5")
@pytest.mark.parametrize(
    "chunks",
    [
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(4_000_000))),
        chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(4_000_000))),
        chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(4_000_000))),
        chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000))) * 10,
    ],
    ids=["zTXt", "iTXt", "iCCP", "many"],
)
def test_decompression_bomb_is_refused_before_and_behind_the_pixels(chunks: bytes) -> None:
    whole = PNGS["8 bits"]
    for at in (AFTER_HEADER, len(whole) - 12):
        with pytest.raises(Undecodable, match="inflate to over"):
            rendered(whole[:at] + chunks + whole[at:], WANTED)


def test_apples_png_is_named() -> None:
    whole = PNGS["8 bits"]
    apple = whole[:8] + chunk(b"CgBI", struct.pack(">I", 0x50002002)) + whole[8:]

    with on_disk(apple) as path, pytest.raises(Undecodable, match="Apple's CgBI form of PNG"):
        inspect(path, LIMITS)
