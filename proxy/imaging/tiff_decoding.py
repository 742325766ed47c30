"""Makes Pillow's TIFF decoder leave the orientation to the pipeline, and reads a TIFF's EXIF."""

from io import BytesIO

from PIL import ExifTags, Image, TiffImagePlugin

from proxy.errors import Undecodable
from proxy.imaging.original_file import OriginalFile
from proxy.imaging.tiff import TiffDirectory

_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "CMYK", "I;16", "I;16B")
_KEPT = {
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.XResolution,
    ExifTags.Base.YResolution,
    ExifTags.Base.ResolutionUnit,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Copyright,
    ExifTags.IFD.Exif,
    ExifTags.IFD.GPSInfo,
}
"""The tags that are metadata. All others describe the pixels, or are private to programs."""


def keep_as_stored(image: Image.Image) -> None:
    """Stops Pillow from turning the pixels while it loads them.

    Turning would copy the whole image, and Pillow also takes the orientation from XMP. Raises Undecodable for a kind of
    samples that is not in `_MODES`.
    """
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    if image.mode not in _MODES:
        raise Undecodable(f"TIFF with {image.mode} samples is not supported. Export it in RGB, grey or CMYK.")
    upright = image._exif = Image.Exif()  # noqa: SLF001 - what `getexif` caches
    upright._loaded = True  # noqa: SLF001 - as if Pillow had read it
    upright[ExifTags.Base.Orientation] = 1
    image._size = image._tile_size  # noqa: SLF001 - Pillow has no public way to undo its turn


def tiff_orientation(path: OriginalFile) -> int:
    """Returns the orientation that a TIFF states; 1, which is upright, by default.

    Raises ValueError or struct.error.
    """
    with path.open("rb") as file:
        return TiffDirectory(file).number(ExifTags.Base.Orientation, 1)


def tiff_exif(image: Image.Image) -> Image.Exif:
    """Returns the tags of a TIFF that are metadata. May raise any exception for hostile bytes."""
    file = getattr(image, "fp", None)
    assert isinstance(file, BytesIO)  # see `limits.open_image`
    file.seek(0)
    exif = Image.Exif()
    exif.load_from_fp(file)
    for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        exif.get_ifd(directory)  # while the file is open
    for tag in [tag for tag in exif if tag not in _KEPT]:
        del exif[tag]
    return exif
