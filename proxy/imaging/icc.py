"""Writes and reads the simple kind of ICC profile: one curve for each channel, and three primaries for colours.

littleCMS applies profiles, but only to samples of 8 bits. So `split_curves` takes the curves out of a profile, for
samples of 16 bits. Format: ICC.1:2022.
"""

import struct
from collections.abc import Callable, Sequence
from functools import cache

Curve = Callable[[float], float]
"""From a sample to light; both are 0 to 1, and 1 is white."""

Point = tuple[float, float]
"""CIE 1931 x and y."""

D65: Point = (0.3127, 0.3290)
SRGB: tuple[Point, Point, Point] = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
P3: tuple[Point, Point, Point] = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
"""SMPTE RP 431-2; with D65 and sRGB's curve, they are Display P3."""

_D50 = (0.9642, 1.0, 0.8249)  # the white of profiles, 7.2.16
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))  # annex E
_NODES = 4096  # of a written curve
_CREATED = (2026, 1, 1, 0, 0, 0)  # the same in every profile, so that variants do not change
_MAX_TAGS = 100  # profiles have about 20
_COLOR_CURVES, _GREY_CURVE = (b"rTRC", b"gTRC", b"bTRC"), (b"kTRC",)
_SRGB_CURVE = b"para" + struct.pack(">IHH5i", 0, 3, 0, 157286, 62119, 3417, 5072, 2651)  # IEC 61966-2-1
_TABLES = {b"A2B0", b"A2B1", b"D2B0", b"D2B1"}  # of a profile; they count instead of its curves
_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}  # of parametric curves, 10.18


def srgb_encode(light: float) -> float:
    """The inverse of sRGB's curve: from light to a sample, both 0 to 1 (IEC 61966-2-1)."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def srgb_decode(sample: float) -> float:
    """The inverse of `srgb_encode`: from a sample with the curve of sRGB to light, both 0 to 1."""
    return sample / 12.92 if sample <= 0.04045 else ((sample + 0.055) / 1.055) ** 2.4


def grey_profile(curve: Curve) -> bytes:
    """Returns a profile of a grey display with this curve."""
    return _profile(b"GRAY", {b"kTRC": _table(curve)})


def color_profile(curve: Curve, primaries: Sequence[Point], white: Point) -> bytes:
    """Returns an RGB profile of a display. Raises ZeroDivisionError for primaries on one line."""
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _colorants(primaries, white), strict=True)
    return _profile(
        b"RGB ", {name: _xyz(column) for name, column in columns} | dict.fromkeys(_COLOR_CURVES, _table(curve))
    )


@cache
def display_p3_profile() -> bytes:
    """Returns the profile that variants in Display P3 carry: P3's primaries, D65 and sRGB's curve, in version 4.

    It has the tags that version 4 demands of a display (8.4.3), and is complete without more.
    """
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), _colorants(P3, D65), strict=True)
    adaptation = [value for row in _adaptation(D65) for value in row]
    return _profile(
        b"RGB ",
        {b"desc": _text("Display P3"), b"cprt": _text("CC0")}
        | {name: _xyz(column) for name, column in columns}
        | dict.fromkeys(_COLOR_CURVES, _SRGB_CURVE)
        | {b"chad": _fixed(b"sf32", adaptation)},
        version=4,
    )


def split_curves(profile: bytes) -> tuple[list[list[int]], bytes | None] | None:
    """Splits `profile` in two: the tables that convert samples of 16 bits to samples of 8 bits with sRGB's curve, one
    for each channel; and the profile of the converted samples, which grey does not need.

    Returns None for profiles without curves, and for broken ones.
    """
    try:
        tags = _tags(profile)
        names = _COLOR_CURVES if profile[16:20] == b"RGB " else _GREY_CURVE
        if not tags.keys().isdisjoint(_TABLES) or not all(name in tags for name in names):
            return None
        tables = [_to_srgb_samples(_curve_in(profile, tags[name])) for name in names]
    except (ArithmeticError, ValueError, LookupError, TypeError, struct.error):
        return None
    return tables, None if names is _GREY_CURVE else _with_srgb_curves(profile, len(tags), names)


@cache
def linear_tables() -> list[int]:
    """Returns the table for samples that have sRGB's curve already."""
    return [(value + 128) // 257 for value in range(65536)]


def grey_levels(profile: bytes) -> list[int] | None:
    """Returns the table from 256 levels of grey to sRGB's; None for profiles without a curve, and for broken ones."""
    try:
        tags = _tags(profile)
        return None if not tags.keys().isdisjoint(_TABLES) else _to_srgb_samples(_curve_in(profile, tags[b"kTRC"]), 255)
    except (ArithmeticError, ValueError, LookupError, TypeError, struct.error):
        return None


def _curve_in(profile: bytes, tag: tuple[int, int]) -> Curve:
    """Returns a curve to light. Where a profile's colours are CIELAB, grey's curve is to lightness (8.3.4, F.2)."""
    curve = _read_curve(profile[tag[0] : sum(tag)])
    return (lambda sample: _light(curve(sample))) if profile[20:24] == b"Lab " else curve


def _light(lightness: float) -> float:
    """Returns the luminance of CIELAB's lightness, both 0 to 1."""
    return ((100 * lightness + 16) / 116) ** 3 if lightness > 0.08 else 100 * lightness / (24389 / 27)


def _to_srgb_samples(curve: Curve, most: int = 65535) -> list[int]:
    return [round(255 * srgb_encode(min(1.0, max(0.0, curve(value / most))))) for value in range(most + 1)]


def _read_curve(tag: bytes) -> Curve:
    """Parses a `curv` (10.6) or `para` (10.18). Raises ValueError or struct.error."""
    if tag[:4] == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return lambda sample: sample
        if count == 1:
            (gamma,) = struct.unpack_from(">H", tag, 12)
            return lambda sample: sample ** (gamma / 256)
        nodes = struct.unpack_from(f">{count}H", tag, 12)
        return lambda sample: _interpolate(nodes, sample * (count - 1)) / 65535
    if tag[:4] != b"para":
        raise ValueError("no curve")
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind not in _PARAMETERS:
        raise ValueError("no curve")
    stated = struct.unpack_from(f">{_PARAMETERS[kind]}i", tag, 12)
    g, a, b, c, d, e, f = [value / 65536 for value in stated] + [0.0] * (7 - len(stated))
    match kind:
        case 0:
            return lambda sample: sample**g
        case 1 | 2:  # c is added on both sides of the limit
            return lambda sample: (max(0.0, a * sample + b) ** g if sample >= -b / a else 0.0) + c
        case _:
            return lambda sample: max(0.0, a * sample + b) ** g + e if sample >= d else c * sample + f


def _interpolate(nodes: Sequence[int], place: float) -> float:
    lower = min(int(place), len(nodes) - 2)
    return nodes[lower] + (nodes[lower + 1] - nodes[lower]) * (place - lower)


def _with_srgb_curves(profile: bytes, count: int, names: Sequence[bytes]) -> bytes:
    """Returns `profile` with sRGB's curve, which is added at the end, in place of its own curves."""
    padded = profile + bytes(-len(profile) % 4)
    changed = bytearray(padded + _SRGB_CURVE)
    for entry in range(132, 132 + 12 * count, 12):
        if profile[entry : entry + 4] in names:
            changed[entry + 4 : entry + 12] = struct.pack(">II", len(padded), len(_SRGB_CURVE))
    changed[:4] = len(changed).to_bytes(4)
    return bytes(changed)


def _tags(profile: bytes) -> dict[bytes, tuple[int, int]]:
    """Returns start and length, in bytes, by signature (7.3). Raises ValueError or struct.error."""
    (count,) = struct.unpack_from(">I", profile, 128)
    if count > _MAX_TAGS:
        raise ValueError("too many tags")
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(count))
    return {name: (start, length) for name, start, length in entries}


def _profile(space: bytes, tags: dict[bytes, bytes], version: int = 2) -> bytes:
    """Builds the file of a display's profile from its `tags` (ICC.1, 7.2 and 7.3), in version 2.4 or 4.4."""
    tags = {b"wtpt": _xyz(_D50)} | tags
    start = 132 + 12 * len(tags)
    places: dict[bytes, int] = {}
    directory, body = len(tags).to_bytes(4), b""
    for name, data in tags.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        directory += name + struct.pack(">II", places[data], len(data))
    number = version << 24 | 0x400000
    header = struct.pack(">I4sI4s4s4s6H", start + len(body), b"", number, b"mntr", space, b"XYZ ", *_CREATED)
    header = (header + b"acsp").ljust(68, b"\0") + _xyz(_D50)[8:]
    return header.ljust(128, b"\0") + directory + body


def _table(curve: Curve) -> bytes:
    nodes = (round(65535 * min(1.0, max(0.0, curve(node / (_NODES - 1))))) for node in range(_NODES))
    return b"curv" + struct.pack(f">II{_NODES}H", 0, _NODES, *nodes)


def _xyz(values: Sequence[float]) -> bytes:
    return _fixed(b"XYZ ", values)


def _fixed(kind: bytes, values: Sequence[float]) -> bytes:
    """Writes numbers of 16.16 bits (4.6)."""
    return kind + struct.pack(f">I{len(values)}i", 0, *(round(value * 65536) for value in values))


def _text(text: str) -> bytes:
    """Writes an English text (10.15)."""
    encoded = text.encode("utf-16-be")
    return b"mluc" + struct.pack(">III2s2sII", 0, 1, 12, b"en", b"US", len(encoded), 28) + encoded


Matrix = Sequence[Sequence[float]]


def _colorants(primaries: Sequence[Point], white: Point) -> list[list[float]]:
    """Returns red, green and blue in XYZ, adapted to D50."""
    native = [_to_xyz(point) for point in primaries]
    amounts = _times(_inverse(_transpose(native)), _to_xyz(white))
    adaptation = _adaptation(white)
    return [
        _times(adaptation, [amount * value for value in each]) for amount, each in zip(amounts, native, strict=True)
    ]


def _adaptation(white: Point) -> Matrix:
    """Returns the matrix that adapts XYZ from `white` to D50 by Bradford's method (annex E)."""
    cones = zip(_times(_BRADFORD, _D50), _times(_BRADFORD, _to_xyz(white)), strict=True)
    scaled = [[to / source * value for value in row] for (to, source), row in zip(cones, _BRADFORD, strict=True)]
    back = _inverse(_BRADFORD)
    return _transpose([_times(back, column) for column in _transpose(scaled)])


def _to_xyz(point: Point) -> list[float]:
    x, y = point
    return [x / y, 1.0, (1 - x - y) / y]


def _times(matrix: Matrix, vector: Sequence[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def _transpose(matrix: Matrix) -> Matrix:
    return list(zip(*matrix, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    """Returns the inverse of a 3x3 matrix, by cross products. Raises ZeroDivisionError."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    rows = [[e * i - f * h, c * h - b * i, b * f - c * e], [f * g - d * i, a * i - c * g, c * d - a * f]]
    rows.append([d * h - e * g, b * g - a * h, a * e - b * d])
    determinant = a * rows[0][0] + b * rows[1][0] + c * rows[2][0]
    return [[value / determinant for value in row] for row in rows]
