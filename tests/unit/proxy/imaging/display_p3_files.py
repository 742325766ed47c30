"""What tests of Display P3 share: its targets, its formulas, and the profile that a file has."""

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from proxy.imaging.target import Target
from proxy.model import ColorSpace
from tests.icc_profiles import DISPLAY_P3_XY, Matrix, srgb_decode, srgb_encode, to_xyz_d50

LOSSY = 4  # levels: a flat colour through JPEG, WebP or AVIF
GREEN = (0, 255, 0)  # of Display P3: beyond sRGB


def wide(wanted: Target) -> Target:
    return replace(wanted, color_space=ColorSpace.DISPLAY_P3)


def flat(color: tuple[int, ...], mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (160, 120), color)


def in_p3(color: object, primaries: Any, decode: Callable[[Matrix], Matrix] = srgb_decode) -> Matrix:
    """The samples in Display P3 of colours in another space, 0 to 255."""
    light = np.clip(decode(np.asarray(color, np.float64) / 255), 0, 1)
    linear = np.linalg.solve(to_xyz_d50(DISPLAY_P3_XY), to_xyz_d50(primaries) @ light.reshape(-1, 3).T).T
    return np.asarray(srgb_encode(linear.reshape(light.shape)) * 255, np.float64)


def profile_in(body: bytes) -> bytes | None:
    with Image.open(BytesIO(body)) as image:
        found = image.info.get("icc_profile")
    assert found is None or isinstance(found, bytes)
    return found
