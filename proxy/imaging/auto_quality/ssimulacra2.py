"""The similarity of two images on the scale of SSIMULACRA2: 100 is identical, 90 hard to tell apart side by side,
70 good, 50 medium, below 30 bad.

Colour space, error maps, weights and the curve to the score are those of SSIMULACRA2 (J. Sneyers, Cloudinary, 2022,
https://github.com/cloudinary/ssimulacra2), a new implementation with its constants. For speed it omits 90 of the 108
weights, which hardly ever matter, and with them whole planes, and uses a cheaper blur of nearly the same width.
Its accuracy: docs/decisions/0010-quality-auto.md.

Before the last power, whose result is rounded, it uses only sums, products, quotients and square roots. IEEE 754 rounds
these alike on every processor, so machines that share a store find the same quality.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from proxy.model import ColorSpace

Plane = NDArray[np.float32]
"""One channel, height x width."""

MIN_SIDE = 100
"""Pixels. The coarsest of the five scales has a sixteenth of them; fewer are too few to compare."""

_LINEAR = np.array(
    [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (byte / 255 for byte in range(256))],
    np.float32,
)
"""Linear light for each byte of sRGB (IEC 61966-2-1), and of Display P3."""

_Cones = Mapping[str, tuple[float, float, float]]

_CONES: Mapping[ColorSpace, _Cones] = {
    ColorSpace.SRGB: {"L": (0.30, 0.622, 0.078), "M": (0.23, 0.692, 0.078), "S": (0.24342269, 0.20476744, 0.55180987)},
    ColorSpace.DISPLAY_P3: {
        "L": (0.33979090, 0.57454376, 0.08566534),
        "M": (0.25110110, 0.66323356, 0.08566534),
        "S": (0.27873014, 0.11523165, 0.60603821),
    },
}
"""The red, green and blue light that each kind of cone absorbs: JPEG XL's opsin absorbance matrix, which is for sRGB's
primaries, and its product with the matrix from Display P3's."""
_BIAS = 0.0037930733  # added to every cone's response, before the cube root
_BIAS_ROOT = 0.15595420

_STABILIZER = 0.0009  # SSIM's C2: smaller differences in contrast do not count

_BLUR_STEPS = (2, 2, 1, 1)  # 1 2 3 4 3 2 1: a variance of 2.5 pixels; SSIMULACRA2 has a Gaussian with 2.25
_BLUR_MARGIN = sum(_BLUR_STEPS) // 2


@dataclass(frozen=True, slots=True)
class _Weights:
    """Weights of a plane's errors: mean and 4-norm of the SSIM error, 4-norms of added and of lost detail."""

    mean: float = 0
    norm: float = 0
    added: float = 0
    lost: float = 0


_SCALES: tuple[Mapping[str, _Weights], ...] = (
    {"Y": _Weights(norm=7.4668903, lost=17.445834)},
    {"X": _Weights(norm=1.1041727), "Y": _Weights(norm=6.6836782)},
    {"X": _Weights(norm=1.8422456, added=11.441173), "Y": _Weights(mean=225.20515, norm=19.213238)},
    {
        "X": _Weights(norm=1.8787595, added=10.949070),
        "Y": _Weights(mean=176.39318, norm=24.433010),
        "B": _Weights(norm=8.8269830, added=23.192433),
    },
    {"Y": _Weights(norm=34.779063, added=44.835626), "B": _Weights(mean=95.108050, added=171.26673)},
)
"""By scale, each half as large as the one before, and by plane: X is red minus green, Y light, B blue minus Y."""


class Reference:
    """The image that others of its size and colour space are compared with. Computes once what depends on it alone."""

    def __init__(self, image: Image.Image, space: ColorSpace = ColorSpace.SRGB) -> None:
        self._cones = _CONES[space]
        self._scales = [
            {name: _ReferencePlane(plane, _SCALES[scale][name]) for name, plane in planes.items()}
            for scale, planes in enumerate(_pyramid(image, self._cones))
        ]

    def score(self, other: Image.Image) -> float:
        """Returns the score, rounded to hundredths. Ignores alpha."""
        error = sum(
            reference[name].error(plane)
            for reference, planes in zip(self._scales, _pyramid(other, self._cones), strict=True)
            for name, plane in planes.items()
        )
        error *= 0.95623826
        bent = max(0.0, error * (2.3267656 + error * (-0.020884521 + error * 6.2484966e-05)))
        return round(100 - 10 * math.pow(bent, 0.62763365), 2)


class _ReferencePlane:
    def __init__(self, plane: Plane, weights: _Weights) -> None:
        self._weights = weights
        self._plane = plane
        self._mean = _blur(plane)
        self._variance = _blur(plane * plane) - self._mean * self._mean
        self._edges = 1 + np.abs(plane - self._mean)

    def error(self, other: Plane) -> float:
        weights = self._weights
        mean = _blur(other)
        unlike = self._ssim_error(other, mean)
        error = weights.mean * float(unlike.mean()) + weights.norm * _norm(unlike)
        if weights.added or weights.lost:
            edges = np.abs(other - mean)
            edges += 1
            edges /= self._edges
            edges -= 1
            error += weights.added * _norm(np.maximum(edges, 0)) if weights.added else 0
            error += weights.lost * _norm(np.minimum(edges, 0)) if weights.lost else 0
        return error

    def _ssim_error(self, other: Plane, mean: Plane) -> Plane:
        """Computes 1 - SSIM, in which a shift in brightness counts the same in dark and in light areas."""
        like = _blur(self._plane * other)
        like -= self._mean * mean
        like *= 2
        like += _STABILIZER
        variance = _blur(other * other)
        variance -= mean * mean
        variance += self._variance
        variance += _STABILIZER
        like /= variance
        shift = mean - self._mean
        shift *= shift
        like *= np.subtract(1, shift, out=shift)
        unlike = np.subtract(1, like, out=like)
        return np.maximum(unlike, 0, out=unlike)


def _norm(error: Plane) -> float:
    """Computes the 4-norm, which the worst areas dominate."""
    squares = error * error
    squares *= squares
    return math.sqrt(math.sqrt(float(squares.mean())))


def _pyramid(image: Image.Image, cones: _Cones) -> Iterator[dict[str, Plane]]:
    """Yields the weighted planes by scale. Halves the image in linear light, which keeps its brightness."""
    pixels = np.asarray(image.convert("RGB"))
    light = [_LINEAR[pixels[:, :, band]] for band in range(3)]
    for scale, wanted in enumerate(_SCALES):
        if scale:
            light = [_halve(plane) for plane in light]
        yield _to_xyb(light, cones, wanted)


def _to_xyb(light: list[Plane], cones: _Cones, wanted: Mapping[str, _Weights]) -> dict[str, Plane]:
    """Converts linear light to the colour space XYB, scaled and shifted as in SSIMULACRA2: all values are positive."""
    long, medium = _response(light, cones["L"]), _response(light, cones["M"])
    y = (long + medium) * np.float32(0.5)
    planes = {"Y": y + np.float32(0.01 - _BIAS_ROOT)}
    if "X" in wanted:
        planes["X"] = (long - medium) * np.float32(7) + np.float32(0.42)
    if "B" in wanted:
        planes["B"] = _response(light, cones["S"]) - y + np.float32(0.55)
    return planes


def _response(light: list[Plane], cone: tuple[float, float, float]) -> Plane:
    red, green, blue = cone
    response = light[0] * np.float32(red)
    response += light[1] * np.float32(green)
    response += light[2] * np.float32(blue)
    response += np.float32(_BIAS)
    return _cube_root(response)


def _cube_root(x: Plane) -> Plane:
    """Computes the cube root of _BIAS to 1.01, to a millionth: a polynomial of the fourth root, then a Newton step."""
    fourth = np.sqrt(x)
    np.sqrt(fourth, out=fourth)
    root = fourth * np.float32(-0.1419)
    for coefficient in (0.5801, 0.5838):
        root += np.float32(coefficient)
        root *= fourth
    root -= np.float32(0.0226)
    square = np.multiply(root, root, out=fourth)
    root += root
    root += np.divide(x, square, out=square)
    root *= np.float32(1 / 3)
    return root


def _halve(plane: Plane) -> Plane:
    """Averages every 2x2 pixels; an odd side counts its last ones twice."""
    height, width = plane.shape
    if height % 2 or width % 2:
        plane = np.pad(plane, ((0, height % 2), (0, width % 2)), "edge")
    rows = plane[::2] + plane[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)


def _blur(plane: Plane) -> Plane:
    """Blurs the plane. Outside the image are zeros, as in SSIMULACRA2.

    The rows form one array, with a margin between them: so each step is one addition of whole arrays.
    """
    height, width = plane.shape
    stride = width + 2 * _BLUR_MARGIN
    size = (height + 2 * _BLUR_MARGIN) * stride
    flat, spare = np.zeros(size + 2 * _BLUR_MARGIN, np.float32), np.empty(size, np.float32)
    rows = flat[:size].reshape(-1, stride)
    rows[_BLUR_MARGIN:-_BLUR_MARGIN, _BLUR_MARGIN:-_BLUR_MARGIN] = plane
    for step in (*(stride * step for step in _BLUR_STEPS), *_BLUR_STEPS):
        total = np.add(flat[step:], flat[:-step], out=spare[: len(flat) - step])
        flat, spare = total, flat
    return flat.reshape(height, stride)[:, :width] * np.float32(1 / 4 ** len(_BLUR_STEPS))
