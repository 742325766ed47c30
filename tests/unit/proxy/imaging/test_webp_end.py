"""WebP files that are cut off or damaged behind their pixels."""

import pytest

from proxy.errors import Undecodable
from proxy.imaging.inspect import inspect
from tests.camera import XMP, camera_exif
from tests.photographs import photograph
from tests.pictures import animated, disc, webp
from tests.unit.proxy.imaging.reference import LIMITS, on_disk, rendered, target

PHOTOGRAPH = photograph("coffee.png").resize((150, 120))
METADATA = {"exif": camera_exif(6), "xmp": XMP}
FILES = {
    "lossy": webp(PHOTOGRAPH, lossless=False, **METADATA),
    "lossless": webp(PHOTOGRAPH, **METADATA),
    "alpha": webp(disc((200, 30, 30), 150), lossless=False, **METADATA),
}
WANTED = target(100, 100)


def with_length(whole: bytes, at: int, length: int) -> bytes:
    return whole[: at + 4] + length.to_bytes(4, "little") + whole[at + 8 :]


@pytest.mark.promise("A1")
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("name", FILES)
def test_webp_cut_off_behind_its_pixels_is_accepted(name: str) -> None:
    whole = FILES[name]
    right = rendered(whole, WANTED)
    xmp = whole.rindex(b"XMP ")
    for cut in (whole[:-1], whole[: xmp + 30], whole[: xmp + 8], whole[: xmp + 5], whole[:xmp]):
        assert rendered(cut, WANTED) == right, len(cut)  # upright: EXIF is before XMP
        with on_disk(cut) as path:
            assert "location" in inspect(path, LIMITS).private
    with on_disk(whole[: whole.rindex(b"EXIF")]) as path:
        inspect(path, LIMITS)


@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("name", FILES)
def test_wrong_lengths_behind_the_pixels_of_a_webp_are_ignored(name: str) -> None:
    whole = FILES[name]
    xmp = whole.rindex(b"XMP ")
    for damaged in (
        with_length(whole, 0, len(whole) + 100),
        with_length(whole, 0, len(whole) - 20),
        with_length(whole, xmp, 3),
        with_length(whole, xmp, 1 << 31),
    ):
        assert rendered(damaged, WANTED) == rendered(whole, WANTED)


@pytest.mark.promise("A1")
@pytest.mark.usefixtures("decoder")
@pytest.mark.parametrize("name", FILES)
def test_webp_without_its_last_pixels_is_refused(name: str) -> None:
    whole = FILES[name]
    pixels = whole[: whole.rindex(b"EXIF")]
    for cut in (pixels[:-2], pixels[:-10], pixels[: len(pixels) // 2], with_length(whole, 0, len(pixels) - 20)):
        with on_disk(cut) as path, pytest.raises(Undecodable):
            inspect(path, LIMITS)


@pytest.mark.promise("A1")
def test_animated_webp_without_its_last_frame_is_refused() -> None:
    whole = animated(PHOTOGRAPH, "WEBP")
    frame = whole.rindex(b"ANMF")
    for cut in (whole[:-20], whole[:frame], whole[: frame + 5], whole[: frame + 8]):
        with on_disk(cut) as path, pytest.raises(Undecodable):
            inspect(path, LIMITS)


def test_metadata_beyond_the_length_that_a_webp_states_is_reported() -> None:
    whole = FILES["lossy"]
    with on_disk(with_length(whole, 0, whole.rindex(b"EXIF") + 4)) as path:
        assert "location" in inspect(path, LIMITS).private
