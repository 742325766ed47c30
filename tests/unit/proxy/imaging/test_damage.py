"""Truncated, corrupted and random files are either rendered or refused with a ServiceError."""

import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from proxy.errors import Refused, Undecodable
from proxy.imaging.inspect import inspect
from proxy.model import Format
from tests.camera import XMP, camera_exif
from tests.icc_profiles import DISPLAY_P3, press_profile
from tests.photographs import photograph
from tests.pictures import animated, chunk, disc, jpeg, png, webp
from tests.unit.proxy.imaging.reference import LIMITS, decoded, on_disk, rendered, target, with_decoders

PHOTOGRAPH = photograph("coffee.png").resize((150, 120))
METADATA = {"exif": camera_exif(6), "icc_profile": DISPLAY_P3}
WHOLE = {
    "baseline jpeg": jpeg(PHOTOGRAPH, **METADATA),
    "progressive jpeg": jpeg(PHOTOGRAPH, progressive=True, **METADATA),
    "cmyk jpeg": jpeg(PHOTOGRAPH.convert("CMYK"), icc_profile=press_profile()),
    "png": png(PHOTOGRAPH, **METADATA),
    "palette png": png(PHOTOGRAPH.quantize(60), **METADATA),
    "apng": animated(PHOTOGRAPH, "PNG"),
    "lossless webp": webp(PHOTOGRAPH, **METADATA),
    "lossy webp": webp(PHOTOGRAPH, lossless=False, icc_profile=DISPLAY_P3),
    "lossy webp with metadata": webp(PHOTOGRAPH, lossless=False, xmp=XMP, **METADATA),
    "transparent webp": webp(disc((200, 30, 30), 150), lossless=False),
    "animated webp": animated(PHOTOGRAPH, "WEBP"),
}
_OTHERS = ("apng", "animated webp", "lossy webp with metadata")
SINGLE = {name: file for name, file in WHOLE.items() if name not in _OTHERS}
"""Files that end with the pixels of the first frame, so that every truncation is detected."""

STARTS = [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\x40\0\0\0WEBP", b"RIFF\x40\0\0\0WEBPVP8X"]
CHUNK_KINDS = [b"tRNS", b"gAMA", b"cHRM", b"iCCP", b"pHYs", b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"PLTE"]
WANTED = [target(150, 150, Format.JPG), target(150, 150, Format.PNG, keep_exif=True)]


def rendered_or_refused(original: bytes) -> type[Refused] | None:
    try:
        files = rendered(original, *WANTED)
    except Refused as refusal:
        return type(refusal)
    assert [decoded(file).size for file in files] == [(150, 150), (150, 150)]
    return None


@pytest.mark.parametrize(("original", "decoder"), with_decoders(WHOLE), indirect=["decoder"])
def test_intact_file_is_rendered(original: bytes, decoder: str) -> None:
    assert rendered_or_refused(original) is None


@pytest.mark.parametrize(("original", "decoder"), with_decoders(SINGLE), indirect=["decoder"])
def test_truncated_file_raises_undecodable(original: bytes, decoder: str) -> None:
    for part in (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98):
        cut = original[: max(16, int(part * len(original)))]

        assert rendered_or_refused(cut) is Undecodable, part
        with on_disk(cut) as path, pytest.raises(Undecodable):
            inspect(path, LIMITS)


@pytest.mark.promise("A6")
@pytest.mark.heavy
@pytest.mark.parametrize("files", [5, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("original", "decoder"), with_decoders(WHOLE), indirect=["decoder"])
def test_flipped_bits_are_rendered_or_refused(original: bytes, decoder: str, files: int) -> None:
    chance = random.Random(len(original))
    for _ in range(files):
        damaged = bytearray(original)
        # most of them in the first bytes, where every byte matters
        for _ in range(chance.choice([1, 1, 2, 8])):
            reach = chance.choice([64, 1024, len(damaged)])
            damaged[chance.randrange(min(reach, len(damaged)))] ^= 1 << chance.randrange(8)

        rendered_or_refused(bytes(damaged))


@pytest.mark.usefixtures("decoder")
@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_random_bytes_are_refused(start: bytes, rest: bytes) -> None:
    assert rendered_or_refused(start + rest) is not None


@pytest.mark.usefixtures("decoder")
@given(st.sampled_from(CHUNK_KINDS), st.binary(max_size=40))
@pytest.mark.heavy
def test_random_png_chunks_are_ignored_or_refused(kind: bytes, body: bytes) -> None:
    whole = png(Image.new("RGB", (120, 110), "teal"))

    assert rendered_or_refused(whole[:33] + chunk(kind, body) + whole[33:]) in (None, Undecodable)


@pytest.mark.heavy
@given(st.binary(max_size=60))
def test_random_exif_is_ignored(body: bytes) -> None:
    assert rendered_or_refused(jpeg(Image.new("RGB", (120, 110), "teal"), exif=b"Exif\0\0" + body)) is None


@pytest.mark.promise("A13")
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("frames", [2, 2**31])
def test_apng_with_missing_frames_shows_its_first_image(frames: int) -> None:
    whole = png(PHOTOGRAPH)

    claims = whole[:33] + chunk(b"acTL", frames.to_bytes(4, "big") + bytes(4)) + whole[33:]

    assert rendered(claims, *WANTED) == rendered(whole, *WANTED)


@pytest.mark.promise("A5")
@pytest.mark.usefixtures("decoder")
def test_text_that_inflates_to_megabytes_is_refused() -> None:
    whole = png(PHOTOGRAPH)
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(4_000_000), 9))

    assert rendered_or_refused(whole[:33] + bomb + whole[33:]) is Undecodable
