"""JPEG is accepted by its pixels: damage beside them is ignored, missing ones are refused, rare kinds are named."""

import pytest
from PIL import Image

from proxy.errors import Undecodable
from proxy.imaging.inspect import inspect
from proxy.imaging.limits import Limits
from tests.photographs import photograph
from tests.pictures import animated, jpeg
from tests.unit.proxy.imaging.reference import LIMITS, on_disk, rendered, target

PHOTOGRAPH = photograph("coffee.png").resize((150, 120))
WANTED = target(100, 100)
JPEGS = {
    "baseline": jpeg(PHOTOGRAPH),
    "halved colour": jpeg(PHOTOGRAPH, subsampling="4:2:0"),
    "progressive": jpeg(PHOTOGRAPH, progressive=True),
    "grey": jpeg(PHOTOGRAPH.convert("L")),
    "inks": jpeg(PHOTOGRAPH.convert("CMYK")),
    "restarts": jpeg(PHOTOGRAPH, restart_marker_blocks=7),
    "flat": jpeg(Image.new("RGB", (150, 120), "white")),
    "two pictures": animated(PHOTOGRAPH, "MPO"),
}
ENDS = {
    "nothing": b"",
    "half a marker": b"\xff",
    "an unknown marker": b"\xff\x19\0\x08trail" + bytes(300),
}


@pytest.mark.promise("A1")
@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xE0, b"JFIF\0"),
        (0xE0, b"JFIF\0\1"),
        (0xE1, b"Exif\0\0II*\0" + b"\xff" * 20),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1"),
        (0xE2, b"ICC_PROFILE\0\0\0"),
        (0xE2, b"MPF\0II*\0" + b"\xff" * 20),
        (0xED, b"Photoshop 3.0\x008BIM\4\4\xff\xff\xff\xff"),
        (0xEE, b"Adobe"),
    ],
)
def test_damaged_application_segment_changes_nothing(marker: int, body: bytes) -> None:
    whole = jpeg(PHOTOGRAPH)
    damaged = bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2) + body

    assert rendered(whole[:2] + damaged + whole[2:], WANTED) == rendered(whole, WANTED)


def without_end(whole: bytes) -> bytes:
    """Cuts off the end marker of the first picture."""
    return whole[: whole.index(b"\xff\xd9")]


@pytest.mark.promise("A1")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_without_its_end_marker_is_accepted(name: str, end: str) -> None:
    whole = JPEGS[name]

    assert rendered(without_end(whole) + ENDS[end], WANTED) == rendered(whole, WANTED)


@pytest.mark.promise("A1")
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_without_its_last_pixels_is_refused(name: str, end: str) -> None:
    pixels = without_end(JPEGS[name])
    for missing in (2, 3, 10, len(pixels) // 3):
        with pytest.raises(Undecodable, match="truncated or damaged"):
            rendered(pixels[:-missing] + ENDS[end], WANTED)


@pytest.mark.parametrize("name", ["grey", "4:4:4"])
def test_large_jpeg_without_its_last_pixels_is_refused_at_its_upload(name: str) -> None:
    """Inspection decodes it at an eighth, where half of a block seems to be all of it."""
    noise = Image.effect_noise((1600, 1072), 60)
    whole = jpeg(noise if name == "grey" else Image.merge("RGB", [noise] * 3), quality=92, subsampling="4:4:4")
    pixels = without_end(whole)

    for missing in (1, 2, 5, 10, 20):
        with on_disk(pixels[:-missing]) as path, pytest.raises(Undecodable):
            inspect(path, LIMITS)


def test_progressive_jpeg_without_its_last_scans_is_refused() -> None:
    whole = JPEGS["progressive"]
    starts = [start for start, _ in scans_of(whole)]
    assert len(starts) > 5
    for start in starts[1:]:
        tables = whole.rindex(b"\xff\xc4", 0, start)  # of this scan
        with pytest.raises(Undecodable):
            rendered(whole[:tables], WANTED)


def scans_of(whole: bytes) -> list[tuple[int, int]]:
    """Where each scan begins and ends."""
    starts = [at for at in range(len(whole)) if whole[at : at + 2] == b"\xff\xda"]
    markers = [at for at in range(len(whole) - 1) if whole[at] == 255 and whole[at + 1] not in (0, *range(0xD0, 0xD8))]
    return [(start, next(at for at in markers if at > start + 2)) for start in starts]


@pytest.mark.promise("A1")
@pytest.mark.parametrize("name", JPEGS)
def test_jpeg_whose_scan_ends_early_is_refused_although_it_has_its_end_marker(name: str) -> None:
    whole = JPEGS[name]
    start, end = scans_of(whole)[0]  # of a progressive one: all mean colours
    for part in (0.2, 0.7):
        cut = whole[: start + 20 + int(part * (end - start - 20))].rstrip(b"\xff")
        with on_disk(cut + whole[end:]) as path, pytest.raises(Undecodable, match="truncated or damaged"):
            inspect(path, LIMITS)
    with on_disk(whole + cut) as path:
        inspect(path, LIMITS)


@pytest.mark.parametrize("end", [b"", b"\xff\xd9"], ids=["no end", "end"])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_without_its_last_restart_intervals_is_refused(progressive: bool, end: bytes) -> None:
    whole = jpeg(PHOTOGRAPH, restart_marker_rows=1, progressive=progressive)
    start, scan_end = scans_of(whole)[0]
    restarts = [at for at in range(start, scan_end) if whole[at] == 255 and 0xD0 <= whole[at + 1] < 0xD8]
    rest = whole[scan_end:-2] + end
    for cut in (restarts[-3], restarts[0]):
        with on_disk(whole[:cut] + rest) as path, pytest.raises(Undecodable, match="truncated or damaged"):
            inspect(path, LIMITS)
    with on_disk(whole[: restarts[3]] + whole[restarts[3] + 2 :]) as path:  # a lost marker costs one interval
        inspect(path, LIMITS)


def test_progressive_jpeg_with_an_end_marker_needs_the_mean_colours_alone() -> None:
    whole = JPEGS["progressive"]
    (start, end), *others = scans_of(whole)
    with on_disk(whole[:end] + b"\xff\xd9") as path:
        inspect(path, LIMITS)
    with on_disk(whole[: others[2][1] - 20] + b"\xff\xd9") as path:
        inspect(path, LIMITS)
    with on_disk(whole[:start] + whole[end:]) as path, pytest.raises(Undecodable):
        inspect(path, LIMITS)


def test_low_progressive_jpeg_is_accepted() -> None:
    with on_disk(jpeg(PHOTOGRAPH.resize((640, 8)), progressive=True)) as path:
        inspect(path, Limits(1, 1000))


def test_fill_bytes_and_segments_behind_a_scan_cost_little() -> None:
    """They cost 17 s and 10 s when each search began with all fill bytes that follow, and segments were unlimited."""
    whole = JPEGS["progressive"]
    _, end = scans_of(whole)[0]
    with on_disk(whole[:end] + b"\xff\xfe\0\2" + bytes([255]) * 300_000 + b"\0" + whole[end:]) as path:
        inspect(path, LIMITS)
    with on_disk(whole[:end] + b"\xff\xfe\0\2" * 1_000_000 + whole[end:]) as path, pytest.raises(Undecodable):
        inspect(path, LIMITS)


def test_progressive_jpeg_with_repeated_scans_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = JPEGS["progressive"]
    start, end = scans_of(whole)[0]
    monkeypatch.setattr("proxy.imaging.jpeg_end._digest", None)
    with on_disk(whole[:end] + whole[start:end] * 4 + whole[end:]) as path:
        inspect(path, LIMITS)


def with_frame(marker: int, precision: int = 8) -> bytes:
    file = bytearray(JPEGS["baseline"])
    at = file.index(b"\xff\xc0")
    file[at + 1], file[at + 4] = marker, precision
    return bytes(file)


def with_height(height: int) -> bytes:
    whole = JPEGS["baseline"]
    at = whole.index(b"\xff\xc0") + 5
    return whole[:at] + height.to_bytes(2) + whole[at + 2 :]


@pytest.mark.parametrize(
    ("original", "name"),
    [
        (with_frame(0xC3), "Lossless JPEG"),
        (with_height(0), r"JPEG whose height follows its pixels \(DNL\)"),
        (with_frame(0xC3, 12), "Lossless 12-bit JPEG"),
        (with_frame(0xC3, 16), "Lossless 16-bit JPEG"),
        (with_frame(0xC1, 12), "12-bit JPEG"),
        (with_frame(0xC2, 12), "12-bit JPEG"),
        (with_frame(0xC5), "Hierarchical JPEG"),
    ],
)
def test_rare_jpeg_is_named(original: bytes, name: str) -> None:
    message = f"^{name} is not supported. Export it as an ordinary 8-bit JPEG.$"
    with on_disk(original) as path, pytest.raises(Undecodable, match=message):
        inspect(path, LIMITS)
