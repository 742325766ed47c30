"""AVIF, GIF, TIFF and HEIC originals: pixels, orientation, colours, first frame, metadata, refusals."""

import struct
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageChops

from proxy.errors import Refused, TooManyPixels, Undecodable
from proxy.imaging import heic
from proxy.imaging.heif import read_heif
from proxy.imaging.inspect import inspect
from proxy.imaging.profile import read_profile
from tests.camera import camera_exif
from tests.icc_profiles import DISPLAY_P3
from tests.pictures import png, raw_tiff, save
from tests.unit.proxy.imaging.reference import LIMITS, on_disk, picture, sized, target

heic.load()
SIDE = 160
PHOTO = sized("coffee.png", SIDE).convert("RGB").crop((0, 0, SIDE, 120))
SAMPLES = np.asarray(PHOTO)
AS_IS = target(SIDE, 120)
LOSSY = 12  # levels, of the mean difference at quality 95 with full chroma
EXIF_6 = camera_exif(6).tobytes()
SEALED = {"AVIF": {"quality": 95, "subsampling": "4:4:4", "max_threads": 1}, "HEIF": {"quality": 95, "chroma": 444}}


def written(image: Image.Image, format: str, **options: object) -> bytes:
    return save(image, format, **SEALED.get(format, {}), **options)


def difference(one: Image.Image, other: Image.Image) -> float:
    return float(np.asarray(ImageChops.difference(one.convert("RGBA"), other.convert("RGBA"))).max(axis=2).mean())


@pytest.mark.heavy
@pytest.mark.parametrize("format", ["AVIF", "HEIF", "TIFF"])
def test_pixels_are_those_of_the_original(format: str) -> None:
    clear = PHOTO.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(PHOTO.size).point(lambda value: max(value, 1)))

    assert difference(picture(written(PHOTO, format), AS_IS), PHOTO) < LOSSY
    assert difference(picture(written(clear, format), AS_IS), clear) < LOSSY


@pytest.mark.parametrize("format", ["AVIF", "TIFF"])
def test_orientation_is_applied_once(format: str) -> None:
    upright = PHOTO.transpose(Image.Transpose.ROTATE_270)
    original = written(PHOTO, format, exif=EXIF_6)

    with on_disk(original) as path:
        seen = inspect(path, LIMITS)

    assert (seen.width, seen.height) == (120, SIDE)
    assert difference(picture(original, target(120, SIDE)), upright) < LOSSY


def test_orientation_of_an_avif_is_that_of_its_irot_and_imir() -> None:
    """Pillow writes them from the EXIF, and leaves the orientation out of that."""
    original = written(PHOTO, "AVIF", exif=camera_exif(5).tobytes())
    assert b"irot" in original
    assert b"imir" in original
    assert not any(struct.pack(f"{order}HHI", 0x0112, 3, 1) in original for order in "<>")
    assert difference(picture(original, target(120, SIDE)), PHOTO.transpose(Image.Transpose.TRANSPOSE)) < LOSSY


@pytest.mark.parametrize("format", ["AVIF", "HEIF", "TIFF"])
@pytest.mark.heavy
def test_profile_is_applied(format: str) -> None:
    original = written(PHOTO, format, icc_profile=DISPLAY_P3)

    assert difference(picture(original, AS_IS), picture(png(PHOTO, icc_profile=DISPLAY_P3), AS_IS)) < LOSSY
    with on_disk(original) as path:
        assert read_profile(path) == DISPLAY_P3


@pytest.mark.heavy
def test_code_points_of_an_avif_are_applied() -> None:
    """Display P3 by `nclx` alone gives the colours of its profile; BT.709's curve counts as sRGB's."""
    original = written(PHOTO, "AVIF")
    at = original.index(b"nclx") + 4
    named, video = bytearray(original), bytearray(original)
    named[at : at + 4] = struct.pack(">HH", 12, 13)
    video[at : at + 4] = struct.pack(">HH", 1, 1)

    expected = picture(png(PHOTO, icc_profile=DISPLAY_P3), AS_IS)
    assert difference(picture(bytes(named), AS_IS), expected) < LOSSY
    assert picture(bytes(named), AS_IS).tobytes() != picture(original, AS_IS).tobytes()
    assert picture(bytes(video), AS_IS).tobytes() == picture(original, AS_IS).tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tiff_of_8_and_16_bits_in_both_byte_orders_is_exact(order: str, deep: bool, channels: int) -> None:
    samples = np.dstack([SAMPLES, np.full(SAMPLES.shape[:2], 200, np.uint8)])[:, :, :channels]
    wide = samples.astype(np.uint16) * 257 if deep else samples

    seen = picture(raw_tiff(wide, order=order), AS_IS)

    expected = Image.fromarray(samples[:, :, 0] if channels == 1 else samples)
    assert difference(seen, expected) <= 1


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_compressions_of_tiff_give_the_same_pixels(compression: str) -> None:
    assert difference(picture(save(PHOTO, "TIFF", compression=compression), AS_IS), PHOTO) == 0


def test_inks_of_a_tiff_are_converted() -> None:
    original = save(PHOTO.convert("CMYK"), "TIFF", compression="tiff_lzw")

    assert difference(picture(original, AS_IS), PHOTO) < 4


def test_first_page_counts_and_pages_are_no_animation() -> None:
    original = save(PHOTO, "TIFF", save_all=True, append_images=[Image.new("RGB", PHOTO.size)])

    with on_disk(original) as path:
        seen = inspect(path, LIMITS)

    assert difference(picture(original, AS_IS), PHOTO) == 0
    assert not seen.animated
    assert "picture" in seen.private


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: raw_tiff(SAMPLES, {259: (6,)}), "TIFF with old-style JPEG compression is not supported"),
        (lambda: raw_tiff(SAMPLES, {259: (50000,)}), "TIFF with Zstandard compression"),
        (lambda: raw_tiff(SAMPLES, {259: (4242,)}), r"TIFF with unknown \(4242\) compression"),
        (lambda: raw_tiff(SAMPLES, {262: (8,)}), "TIFF with CIELab colours"),
        (lambda: raw_tiff(SAMPLES, {254: (1,)}), "a camera's raw file"),
        (lambda: raw_tiff(SAMPLES, {50706: (1,)}), "a camera's raw file"),
        (lambda: raw_tiff(SAMPLES, {339: (3,) * 3}), "TIFF of 8 bits in this form"),
        (lambda: raw_tiff(SAMPLES, {273: (8,) * 70_000}), "split into 70000 strips; 65536 is the limit"),
        (lambda: raw_tiff(SAMPLES, dict.fromkeys(range(2000, 3000), (1,))), r"has 10\d\d tags; 1000 is the limit"),
    ],
)
def test_rare_tiff_is_refused_by_name(make: Callable[[], bytes], words: str) -> None:
    with pytest.raises(Undecodable, match=words):
        picture(make(), AS_IS)


class TestGif:
    def test_transparency_and_animation_are_found(self) -> None:
        image = Image.new("P", (SIDE, 120), 1)
        image.putpalette([0, 0, 0, 200, 30, 30, 30, 30, 200])
        image.paste(0, (0, 0, 80, 120))
        original = save(image, "GIF", transparency=0, save_all=True, append_images=[Image.new("P", image.size, 2)])

        with on_disk(original) as path:
            seen = inspect(path, LIMITS)
        shown = picture(original, AS_IS).convert("RGBA")

        assert (seen.format, seen.alpha, seen.animated) == ("gif", True, True)
        assert shown.getpixel((10, 60)) == (0, 0, 0, 0)
        assert shown.getpixel((150, 60)) == (200, 30, 30, 255)

    def test_screen_around_the_first_frame_is_transparent(self) -> None:
        original = bytearray(save(Image.new("RGB", (120, 100), (200, 30, 30)).quantize(4), "GIF"))
        original[6:10] = struct.pack("<HH", SIDE, 120)
        at = original.index(b",", 13 + (3 << (original[10] & 7) + 1))
        original[at + 1 : at + 5] = struct.pack("<HH", 20, 10)

        shown = picture(bytes(original), AS_IS).convert("RGBA")

        assert [shown.getpixel(at) for at in ((19, 60), (60, 9), (140, 60), (60, 110))] == [(0, 0, 0, 0)] * 4
        assert shown.getpixel((20, 10)) == shown.getpixel((139, 109)) == (200, 30, 30, 255)

    def test_comments_and_xmp_are_reported(self) -> None:
        plain = save(PHOTO.quantize(8), "GIF")
        xmp = b"!\xff\x0bXMP DataXMP" + b'<x photoshop:City="Berlin"/>' + bytes(range(1, 256))[::-1] + b"\0\0"

        with on_disk(plain[:-1] + xmp + b"!\xfe\2hi\0;") as path:
            assert inspect(path, LIMITS).private[0] == "location"
        with on_disk(plain[:-1] + b"!\xfe\2hi\0;") as path:
            assert inspect(path, LIMITS).private == ["comments"]

    @pytest.mark.parametrize("flood", [b"\1" * 100_000, b"!\xfe" + b"\1a" * 6000 + b"\0"], ids=["junk", "blocks"])
    def test_flood_before_the_first_frame_is_refused(self, flood: bytes) -> None:
        plain = save(PHOTO.quantize(8), "GIF")
        start = 13 + (3 << (plain[10] & 7) + 1)

        with pytest.raises(Undecodable):
            picture(plain[:start] + flood + plain[start:], AS_IS)


@pytest.mark.parametrize("format", ["AVIF", "HEIF", "TIFF"])
@pytest.mark.heavy
def test_private_metadata_is_reported(format: str) -> None:
    with on_disk(written(PHOTO, format, exif=EXIF_6)) as path:
        seen = inspect(path, LIMITS)

    assert seen.private == ["location", "serial", "time", "device"]
    assert set(seen.private_exif) <= set(seen.private)


@pytest.mark.parametrize(
    ("format", "mark", "packed"),
    [("AVIF", b"ispe\0\0\0\0", ">II"), ("HEIF", b"ispe\0\0\0\0", ">II"), ("GIF", b"GIF87a", "<HH")],
)
def test_stated_sides_are_checked_before_decoding(format: str, mark: bytes, packed: str) -> None:
    original = bytearray(written(PHOTO.quantize(8) if format == "GIF" else PHOTO, format))
    at = original.index(mark) + len(mark)
    original[at : at + struct.calcsize(packed)] = struct.pack(packed, 65535, 65535)

    with pytest.raises(TooManyPixels):
        picture(bytes(original), AS_IS)


@pytest.mark.heavy
@pytest.mark.parametrize("format", ["AVIF", "HEIF", "TIFF", "GIF"])
def test_truncated_and_changed_files_are_refused_or_decoded(format: str) -> None:
    """Damage raises only refusals. libavif reports its errors as RuntimeError."""
    whole = written(PHOTO.quantize(8) if format == "GIF" else PHOTO, format)
    for keep in (20, 60, 200, len(whole) // 2):
        with pytest.raises(Refused):
            picture(whole[:keep], AS_IS)
    for position in range(12, len(whole), len(whole) // 40):
        changed = bytearray(whole)
        changed[position] ^= 0x55
        with suppress(Refused):
            picture(bytes(changed), AS_IS)


def test_cropped_heic_of_10_bit_grey_is_read() -> None:
    import pillow_heif

    samples = (np.arange(SIDE * 120, dtype=np.uint16).reshape(120, SIDE) * 3).astype("<u2")
    heif = pillow_heif.from_bytes("I;16", (SIDE, 120), samples.tobytes())
    file = BytesIO()
    heif.save(file, quality=-1)

    with on_disk(file.getvalue()) as path, path.open("rb") as opened:
        assert read_heif(opened).depth > 8
    seen = picture(file.getvalue(), AS_IS).convert("L")
    assert difference(seen, Image.fromarray((samples >> 8).astype(np.uint8))) < LOSSY
