"""Hand-written ICC profiles, so that tests can compute the expected colours."""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Inks = tuple[int, int, int]
Lab = tuple[float, float, float]

D50 = np.array([0.9642, 1.0, 0.8249])
D65_XY = (0.3127, 0.3290)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])

SRGB_XY = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
DISPLAY_P3_XY = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB_XY = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060))
ADOBE_GAMMA = 563 / 256


def srgb_decode(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def srgb_encode(value: NDArray[np.float64]) -> NDArray[np.float64]:
    value = np.clip(value, 0, 1)
    return np.where(value <= 0.0031308, value * 12.92, 1.055 * value ** (1 / 2.4) - 0.055)


def to_xyz_d50(primaries: Sequence[tuple[float, float]]) -> Matrix:
    """Converts linear RGB with these primaries and a D65 white to XYZ, adapted to D50 by Bradford, as in a profile."""
    xyz = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    x, y = D65_XY
    white = np.array([x / y, 1, (1 - x - y) / y])
    native = xyz * np.linalg.solve(xyz, white)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ D50) / (_BRADFORD @ white)) @ _BRADFORD
    return np.asarray(adaptation @ native, np.float64)


def gamma_curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def srgb_curve() -> bytes:
    table = np.round(srgb_decode(np.linspace(0, 1, 1024)) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()


def profile(kind: bytes, space: bytes, connection: bytes, description: str, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2."""
    name = description.encode() + b"\0"
    tags = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(78),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": xyz_tag(D50),
    } | tags
    directory, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        directory += signature + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    date = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head = b"\0\0\0\0\x02\x40\0\0" + kind + space + connection + date + b"acsp" + bytes(28) + xyz_tag(D50)[8:]
    return struct.pack(">I", start + len(body)) + head.ljust(124, b"\0") + directory + body


def xyz_tag(xyz: NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(float(value) * 65536) for value in xyz))


def rgb_profile(description: str, primaries: Sequence[tuple[float, float]], curve: bytes) -> bytes:
    columns = to_xyz_d50(primaries).T
    tags = {name: xyz_tag(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns, strict=True)}
    return profile(b"mntr", b"RGB ", b"XYZ ", description, tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile(description: str, curve: bytes, connection: bytes = b"XYZ ") -> bytes:
    return profile(b"mntr", b"GRAY", connection, description, {b"kTRC": curve})


INKS_LAB = {
    (0, 0, 0): (100.0, 0.0, 0.0),
    (1, 0, 0): (60.0, -30.0, -35.0),
    (0, 1, 0): (50.0, 60.0, -5.0),
    (0, 0, 1): (88.0, -6.0, 75.0),
    (1, 1, 0): (30.0, 18.0, -40.0),
    (1, 0, 1): (52.0, -45.0, 25.0),
    (0, 1, 1): (48.0, 58.0, 40.0),
    (1, 1, 1): (22.0, 0.0, 0.0),
}
"""CIELAB (D50) of cyan, magenta, yellow and their overprints: a press with dull inks, all within sRGB."""

COATED_INKS_LAB = {
    (0, 0, 0): (95.0, 0.0, -2.0),
    (1, 0, 0): (55.0, -37.0, -50.0),
    (0, 1, 0): (48.0, 74.0, -3.0),
    (0, 0, 1): (89.0, -5.0, 93.0),
    (1, 1, 0): (24.0, 17.0, -46.0),
    (1, 0, 1): (50.0, -68.0, 25.0),
    (0, 1, 1): (47.0, 68.0, 48.0),
    (1, 1, 1): (23.0, 0.0, 0.0),
}
"""The same for offset on coated paper (ISO 12647-2:2004, paper type 1): cyan and green are beyond sRGB."""


def press_profile(
    black_lightness: float = 0.0, paper: NDArray[np.float64] = D50, inks: Mapping[Inks, Lab] = INKS_LAB
) -> bytes:
    """A CMYK profile that mixes `inks` linearly; black ink darkens all of them."""
    nodes = b""
    for index in range(16):
        cyan, magenta, yellow, black = (index >> bit & 1 for bit in (3, 2, 1, 0))
        lightness, a, b = (black_lightness, 0.0, 0.0) if black else inks[cyan, magenta, yellow]
        nodes += struct.pack(">3H", round(lightness * 652.8), round((a + 128) * 256), round((b + 128) * 256))
    identity = struct.pack(">9i", *(65536 * (index % 4 == 0) for index in range(9)))
    ramps = struct.pack(">2H", 0, 65535)
    table = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0]) + identity + struct.pack(">2H", 2, 2) + ramps * 4 + nodes + ramps * 3
    return profile(b"scnr", b"CMYK", b"Lab ", "A dull press", {b"A2B0": table, b"A2B1": table, b"wtpt": xyz_tag(paper)})


DISPLAY_P3 = rgb_profile("Display P3", DISPLAY_P3_XY, srgb_curve())
ADOBE_RGB = rgb_profile("Adobe RGB (1998)", ADOBE_RGB_XY, gamma_curve(ADOBE_GAMMA))
GREY_GAMMA_22 = grey_profile("Dot Gamma 2.2", gamma_curve(2.2))
