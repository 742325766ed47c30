"""Limits: an image is accepted or refused by its header, before a pixel is decoded."""

import struct

import pytest
from PIL import Image

from proxy.errors import Refused, TooManyPixels, TooSmall, Undecodable, UnsupportedFormat
from proxy.imaging.containers import MAX_CHUNKS, sniff
from proxy.imaging.limits import MAX_SCANS, Limits, open_image
from tests.camera import camera_jpeg
from tests.photographs import COLOR_PHOTOGRAPHS, GREY_PHOTOGRAPHS, photograph, photograph_path
from tests.pictures import animated, chunk, flat_webp, jpeg, jpeg_of_scans, png, png_header, save, webp
from tests.unit.proxy.imaging.reference import LIMITS, SNAPSHOT, on_disk, picture, rendered, target

SMALL = target(150, 150)
CAMERA = camera_jpeg(size=SNAPSHOT)


def opened(original: bytes, limits: Limits = LIMITS) -> tuple[str | None, tuple[int, int]]:
    with on_disk(original) as path, open_image(path, limits) as image:
        return image.format, image.size


def jpeg_header(width: int, height: int) -> bytes:
    """A JPEG's frame header, and no scan after it."""
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame + b"\xff\xda\x00\x02"


@pytest.mark.parametrize("name", [*COLOR_PHOTOGRAPHS, *GREY_PHOTOGRAPHS])
def test_photographs_are_accepted(name: str) -> None:
    with Image.open(photograph_path(name)) as image:
        expected = image.format, image.size

    assert opened(photograph_path(name).read_bytes()) == expected


@pytest.mark.promise("A7")
@pytest.mark.parametrize("format", ["BMP", "ICO", "PPM", "TGA", "JPEG2000", "PDF"])
def test_other_formats_raise_unsupported_format(format: str) -> None:
    with pytest.raises(UnsupportedFormat, match=r"^The file is not an image of a format that this server reads\.$"):
        opened(save(photograph("coffee.png").resize((200, 150)), format))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="200"/>',
        b'<?xml version="1.0"?><svg width="200" height="200"></svg>',
        b"<!doctype html><script>alert(1)</script>",
        b"%PDF-1.7\n1 0 obj",
        b"\x7fELF\x02\x01\x01",
        b"PK\x03\x04",
        b"%!PS-Adobe-3.0",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"JFIF\xff\xd8\xff\xe0",
        b" \x89PNG\r\n\x1a\n",
        b"just a text, long enough to be read as any header there is" * 20,
    ],
)
def test_content_that_is_no_image_raises_unsupported_format(content: bytes) -> None:
    with pytest.raises(UnsupportedFormat):
        opened(content)


@pytest.mark.parametrize(
    ("head", "format"),
    [
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01", "jpeg"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d", "png"),
        (b"RIFF\x00\x00\x00\x00WEBP", "webp"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"GIF88a", None),
        (b"II*\0", "tiff"),
        (b"MM\0*", "tiff"),
        (b"MM\0+", None),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf", "avif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1avif", "avif"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heic"),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1heic", None),
        (b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", None),
        (b"RIFF\x00\x00\x00\x00WAVE", None),
        (b"\x89PNG\n\x1a\n\x00\x00\x00\x0d\x00", None),
        (b"\xff\xd8", None),
        (b"", None),
    ],
)
def test_sniff_recognizes_only_known_formats(head: bytes, format: str | None) -> None:
    assert sniff(head) == format


@pytest.mark.promise("A9")
@pytest.mark.parametrize("write", [jpeg, png, webp])
@pytest.mark.parametrize("size", [(99, 100), (100, 99), (1, 1), (99, 5000)])
def test_side_below_100_raises_too_small(write: object, size: tuple[int, int]) -> None:
    assert callable(write)
    with pytest.raises(TooSmall, match=rf"^The image is {size[0]}x{size[1]} pixels\. Both sides need at least 100\.$"):
        opened(write(Image.new("RGB", size)))


@pytest.mark.parametrize("size", [(100, 100), (10_000, 100), (100, 10_000)])
def test_sides_at_the_limits_are_accepted(size: tuple[int, int]) -> None:
    assert opened(png(Image.new("1", size)))[1] == size
    assert rendered(png(Image.new("1", size)), SMALL) == rendered(png(Image.new("L", (100, 100))), SMALL)


@pytest.mark.promise("A9")
@pytest.mark.parametrize("size", [(10_001, 100), (100, 10_001), (10_001, 10_001), (20_000, 20_000), (2**31 - 1, 100)])
def test_png_header_with_a_side_above_10000_raises_too_many_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(TooManyPixels, match="Scale it down to at most 10000 pixels a side"):
        opened(png_header(*size) + chunk(b"IDAT", b""))


@pytest.mark.parametrize("size", [(10_001, 100), (100, 10_001), (20_000, 20_000), (65_500, 65_500)])
def test_jpeg_header_with_a_side_above_10000_raises_too_many_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(TooManyPixels, match="Scale it down to at most 10000 pixels a side"):
        opened(jpeg_header(*size))


@pytest.mark.parametrize("size", [(10_001, 100), (16_384, 16_384)])
def test_webp_with_a_side_above_10000_raises_too_many_pixels(size: tuple[int, int]) -> None:
    with pytest.raises(TooManyPixels, match="Scale it down to at most 10000 pixels a side"):
        opened(flat_webp(*size))


def test_given_limits_are_applied() -> None:
    image = png(Image.new("L", (64, 48)))

    assert opened(image, Limits(min_side=48, max_side=64)) == ("PNG", (64, 48))
    with pytest.raises(TooSmall):
        opened(image, Limits(min_side=49, max_side=64))
    with pytest.raises(TooManyPixels):
        opened(image, Limits(min_side=48, max_side=63))


@pytest.mark.promise("A9")
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_damaged_file_of_too_many_pixels_is_refused_for_its_pixels(format: str) -> None:
    whole = save(Image.effect_noise((12_000, 100), 20), format)
    cut = [whole[: 500 + 7 * length] for length in range(40)]

    for content in cut:
        with pytest.raises(TooManyPixels):
            opened(content)


APPLE_PNG = png_header(10_001, 100)[:8] + chunk(b"CgBI", bytes(4)) + png_header(10_001, 100)[8:] + chunk(b"IDAT", b"")
WEBP_CANVAS = b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\x10\0\0\0" + (10_000).to_bytes(3, "little") + bytes(3)
GIF_SCREEN = b"GIF89a" + (10_001).to_bytes(2, "little") + bytes(5)


@pytest.mark.promise("A9")
@pytest.mark.parametrize("content", [APPLE_PNG, WEBP_CANVAS, GIF_SCREEN], ids=["CgBI", "WebP", "GIF"])
def test_header_of_too_many_pixels_counts_before_what_else_is_wrong(content: bytes) -> None:
    with pytest.raises(TooManyPixels):
        opened(content)


@pytest.mark.promise("A2")
def test_too_many_scans_are_refused_before_decoding() -> None:
    bomb = jpeg_of_scans(photograph("coffee.png"), MAX_SCANS + 1)

    with pytest.raises(Undecodable, match=r"^The JPEG is split into 101 scans; 100 is the limit\. Export it again\.$"):
        opened(bomb)


def test_file_of_a_thousand_scans_is_refused() -> None:
    with pytest.raises(Undecodable, match="split into 1000 scans"):
        opened(jpeg_of_scans(photograph("coffee.png"), 1000))


@pytest.mark.promise("A2")
@pytest.mark.parametrize(("size", "most"), [((10_000, 10_000), 15), ((10_000, 100), 100)])
def test_scan_limit_falls_with_the_number_of_pixels(size: tuple[int, int], most: int) -> None:
    """The largest image with 40 scans, a file of 1.2 MB, took six seconds."""

    def claiming(scans: int) -> bytes:
        file = bytearray(jpeg_of_scans(Image.new("L", (100, 100)), scans))
        sides = file.index(b"\xff\xc2") + 5
        file[sides : sides + 4] = struct.pack(">HH", size[1], size[0])
        return bytes(file)

    assert opened(claiming(most)) == ("JPEG", size)
    with pytest.raises(Undecodable, match=rf"split into {most + 1} scans; {most} is the limit"):
        opened(claiming(most + 1))


def test_scans_at_the_limit_are_decoded() -> None:
    assert picture(jpeg_of_scans(photograph("coffee.png"), MAX_SCANS), SMALL).size == (150, 150)


def test_scans_are_counted_only_in_jpeg() -> None:
    noise = png(photograph("coffee.png"), exif=b"Exif\0\0" + b"\xff\xda\x00" * 200)

    assert opened(noise) == ("PNG", (300, 200))


def png_of_chunks(chunks: int) -> bytes:
    whole = png(Image.new("RGB", (120, 110), "teal"))
    return whole[:-12] + chunk(b"IDAT", b"") * (chunks - 3) + whole[-12:]


@pytest.mark.promise("A4")
def test_too_many_chunks_are_refused_before_decoding() -> None:
    with pytest.raises(Undecodable, match=r"^The PNG is split into more than 20000 chunks\. Export it again\.$"):
        opened(png_of_chunks(MAX_CHUNKS + 1))


def test_chunks_at_the_limit_are_decoded() -> None:
    assert picture(png_of_chunks(MAX_CHUNKS), SMALL).size == (150, 150)


@pytest.mark.promise("A7")
def test_camera_file_of_several_images_is_a_jpeg() -> None:
    assert opened(animated(photograph("coffee.png"), "MPO"))[1] == (300, 200)


def test_file_name_is_ignored() -> None:
    with on_disk(png(photograph("coffee.png"))) as path:
        misnamed = path.with_suffix(".jpg")
        misnamed.hardlink_to(path)
        try:
            with open_image(misnamed, LIMITS) as image:
                assert image.format == "PNG"
        finally:
            misnamed.unlink()


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\0\0\0\0WEBP", "WebP"),
        (b"GIF89a", "GIF"),
        (b"II*\0", "TIFF"),
    ],
)
def test_damaged_header_is_reported_as_a_damaged_file(start: bytes, name: str) -> None:
    with pytest.raises(Undecodable, match=rf"^This {name} file is damaged"):
        opened(start + b"\x13" * 60)


@pytest.mark.promise("A6")
def test_decoder_error_inside_the_block_raises_undecodable() -> None:
    with on_disk(CAMERA) as path, pytest.raises(Undecodable), open_image(path, LIMITS):
        raise SyntaxError


def test_refusal_inside_the_block_is_not_translated() -> None:
    with (
        on_disk(CAMERA) as path,
        pytest.raises(Refused, match=r"^mine$"),
        open_image(path, LIMITS),
    ):
        raise TooSmall("mine")
