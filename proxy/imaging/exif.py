"""Adapts the EXIF of an original to a variant, which is upright and has other sides and colours.

Tags: Exif 3.0 (CIPA DC-008), 4.6.
"""

from PIL import ExifTags, Image

from proxy.model import ColorSpace

_UNTRUE = {
    ExifTags.Base.ImageWidth,
    ExifTags.Base.ImageLength,
    ExifTags.Base.BitsPerSample,
    ExifTags.Base.Compression,
    ExifTags.Base.PhotometricInterpretation,
    ExifTags.Base.StripOffsets,
    ExifTags.Base.SamplesPerPixel,
    ExifTags.Base.RowsPerStrip,
    ExifTags.Base.StripByteCounts,
    ExifTags.Base.PlanarConfiguration,
    ExifTags.Base.TransferFunction,
    ExifTags.Base.WhitePoint,
    ExifTags.Base.PrimaryChromaticities,
    ExifTags.Base.JpegIFOffset,
    ExifTags.Base.JpegIFByteCount,
    ExifTags.Base.YCbCrCoefficients,
    ExifTags.Base.YCbCrSubSampling,
    ExifTags.Base.YCbCrPositioning,
    ExifTags.Base.ReferenceBlackWhite,
    ExifTags.Base.Orientation,
    # In the directory of EXIF itself:
    ExifTags.Base.ComponentsConfiguration,
    ExifTags.Base.CompressedBitsPerPixel,
    0x9214,  # SubjectArea
    ExifTags.Base.SubjectLocation,
    ExifTags.Base.FocalPlaneXResolution,
    ExifTags.Base.FocalPlaneYResolution,
    ExifTags.Base.FocalPlaneResolutionUnit,
    ExifTags.Base.Gamma,
    ExifTags.IFD.Interop,
    0x8773,  # a colour profile, as in TIFF
    0x02BC,  # XMP, as in TIFF
}
"""Tags that describe the samples of the original, their number per length, or positions in it: untrue of a variant."""

_COLOR_SPACES = {ColorSpace.SRGB: 1, ColorSpace.DISPLAY_P3: 0xFFFF}  # uncalibrated, which a profile explains


def true_exif(exif: Image.Exif, width: int, height: int, space: ColorSpace) -> bytes | None:
    """Returns `exif` for a variant of these sides in pixels in `space`, without a thumbnail.

    Returns None if it is empty or cannot be written.
    """
    try:
        directory = {tag: value for tag, value in exif.get_ifd(ExifTags.IFD.Exif).items() if tag not in _UNTRUE}
        places = exif.get_ifd(ExifTags.IFD.GPSInfo)
        true = Image.Exif()
        true.endian = exif.endian
        true.update({tag: value for tag, value in exif.items() if tag not in {*_UNTRUE, *ExifTags.IFD}})
        if not (true or directory or places):
            return None
        directory |= {
            ExifTags.Base.ColorSpace: _COLOR_SPACES[space],
            ExifTags.Base.ExifImageWidth: width,
            ExifTags.Base.ExifImageHeight: height,
        }
        true[ExifTags.IFD.Exif] = directory
        if places:
            true[ExifTags.IFD.GPSInfo] = places
        return true.tobytes()
    except Exception:  # hostile values make the reader and the writer raise anything
        return None
