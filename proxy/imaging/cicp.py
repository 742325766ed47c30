"""Colours by code points (ITU-T H.273), as in PNG's cICP chunk, and how high dynamic range becomes sRGB.

Reference white of PQ and HLG is 203 nits (ITU-R BT.2408). It becomes sRGB's white; what is brighter is cut off.
"""

from math import exp

from proxy.imaging.icc import D65, P3, SRGB, Curve, Point, srgb_decode

REFERENCE_WHITE = 203.0
"""Nits, of PQ and HLG (BT.2408, table 1)."""

_HLG_PEAK = 1000.0  # nits of the nominal display, on which HLG's system gamma is 1.2 (BT.2100, table 5)
_HLG_GAMMA = 1.2
_ILLUMINANT_C: Point = (0.310, 0.316)
_PAL = ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060))
_NTSC = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070))
_PRIMARIES: dict[int, tuple[tuple[Point, Point, Point], Point]] = {  # H.273, table 2
    1: (SRGB, D65),
    4: (((0.67, 0.33), (0.21, 0.71), (0.14, 0.08)), _ILLUMINANT_C),
    5: (_PAL, D65),
    6: (_NTSC, D65),
    7: (_NTSC, D65),
    8: (((0.681, 0.319), (0.243, 0.692), (0.145, 0.049)), _ILLUMINANT_C),
    9: (((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)), D65),
    11: (P3, (0.314, 0.351)),
    12: (P3, D65),
    22: (((0.630, 0.340), (0.295, 0.605), (0.155, 0.077)), D65),
}


def color_of_code_points(body: bytes) -> tuple[Curve, tuple[Point, Point, Point], Point] | None:
    """Returns curve, primaries and white for a cICP chunk; None if it has unknown values or does not mean RGB."""
    if len(body) != 4:
        return None
    primaries, transfer, matrix, full_range = body
    if primaries not in _PRIMARIES or transfer not in _CURVES or matrix or full_range > 1:
        return None
    curve = _CURVES[transfer]
    return curve if full_range else _narrow(curve), *_PRIMARIES[primaries]


def _narrow(curve: Curve) -> Curve:
    """Returns `curve` for narrow range: black is 16 of 255, white 235; nearly the same fractions in deeper samples."""
    return lambda sample: curve(min(1.0, max(0.0, (sample * 255 - 16) / 219)))


def _bt709(sample: float) -> float:
    return sample / 4.5 if sample < 0.081 else ((sample + 0.099) / 1.099) ** (1 / 0.45)


def _pq(sample: float) -> float:
    """Returns the light of a PQ sample, 1 for reference white (BT.2100, table 4)."""
    power = sample ** (32 / 2523)
    light = (max(0.0, power - 0.8359375) / (18.8515625 - 18.6875 * power)) ** (16384 / 2610)
    return float(light * 10_000 / REFERENCE_WHITE)


def _hlg(sample: float) -> float:
    """Returns the light of an HLG sample (BT.2100, table 5). The system gamma per channel is exact for greys."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = sample**2 / 3 if sample <= 0.5 else (exp((sample - c) / a) + b) / 12
    return float(scene**_HLG_GAMMA * _HLG_PEAK / REFERENCE_WHITE)


_CURVES: dict[int, Curve] = {  # H.273, table 3
    **dict.fromkeys((1, 6, 14, 15), _bt709),
    4: lambda sample: sample**2.2,
    5: lambda sample: sample**2.8,
    8: lambda sample: sample,
    13: srgb_decode,
    16: _pq,
    17: lambda sample: sample**2.6 * 52.37 / 48,
    18: _hlg,
}
