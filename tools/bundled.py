"""The libraries in C and Rust inside the installed wheels, which no lock file names.

What a loaded library says of itself comes first, then the bill of materials in the wheel (PEP 770), and the files that
auditwheel has copied into it.
"""

import base64
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution
from typing import Any

import numpy as np
import pyvips  # type: ignore[import-untyped] # it ships no types
from PIL import _avif, features
from uvloop.loop import libuv_get_version  # type: ignore[attr-defined] # its stubs leave it out

Component = dict[str, Any]
"""A component of a CycloneDX document."""

REPOSITORIES = {
    "aom": "https://aomedia.googlesource.com/aom",
    "dav1d": "https://code.videolan.org/videolan/dav1d.git",
    "freetype": "https://gitlab.freedesktop.org/freetype/freetype.git",
    "glib": "https://gitlab.gnome.org/GNOME/glib.git",
    "harfbuzz": "https://github.com/harfbuzz/harfbuzz.git",
    "lcms2": "https://github.com/mm2/Little-CMS.git",
    "libarchive": "https://github.com/libarchive/libarchive.git",
    "libavif": "https://github.com/AOMediaCodec/libavif.git",
    "libjpeg-turbo": "https://github.com/libjpeg-turbo/libjpeg-turbo.git",
    "libpng": "https://github.com/pnggroup/libpng.git",
    "libtiff": "https://gitlab.com/libtiff/libtiff.git",
    "libuv": "https://github.com/libuv/libuv.git",
    "libvips": "https://github.com/libvips/libvips.git",
    "libwebp": "https://github.com/webmproject/libwebp.git",
    "mozjpeg": "https://github.com/mozilla/mozjpeg.git",
    "openblas": "https://github.com/OpenMathLib/OpenBLAS.git",
    "openjpeg": "https://github.com/uclouvain/openjpeg.git",
    "raqm": "https://github.com/HOST-Oman/libraqm.git",
    "zlib-ng": "https://github.com/zlib-ng/zlib-ng.git",
}
"""Git repositories, by which the audit asks for libraries that belong to no package index."""

_IN_PILLOW = {
    "freetype": "freetype2",
    "harfbuzz": "harfbuzz",
    "lcms2": "littlecms2",
    "libavif": "avif",
    "libjpeg-turbo": "libjpeg_turbo",
    "libtiff": "libtiff",
    "libwebp": "webp",
    "openjpeg": "jpg_2000",
    "raqm": "raqm",
    "zlib-ng": "zlib_ng",
}
"""Pillow's names for them. fribidi and zlib are the system's."""

_IN_LIBVIPS = {
    "aom": rb"AOMedia Project AV1 Decoder v([\d.]+)",
    "cairo": rb"src/cairo-surface\.c",
    "cgif": rb"with cgif: true",
    "expat": rb"EXPAT_ENTITY_DEBUG",
    "fontconfig": rb"with fontconfig: true",
    "freetype": rb"FREETYPE_PROPERTIES",
    "glib": rb"<!-- GDBus ([\d.]+) -->",
    "harfbuzz": rb"HB_SHAPER_LIST",
    "highway": rb"with libhwy: true",
    "lcms2": rb"with lcms2: true",
    "libarchive": rb"libarchive (\d[\d.]+)",
    "libexif": rb"with libexif: true",
    "libheif": rb"with libheif: true",
    "libimagequant": rb"with imagequant: true",
    "libpng": rb"\x00(1\.6\.\d+)\x00",
    "librsvg": rb"with librsvg-2\.0: true",
    "libtiff": rb"with libtiff-4: true",
    "libuhdr": rb"with libuhdr: true",
    "libwebp": rb"with libwebp: true",
    "libxml2": rb"libxml2: out of memory",
    "mozjpeg": rb"mozjpeg version ([\d.]+)",
    "pango": rb"with pangocairo: true",
    "pixman": rb"PIXMAN_DISABLE",
    "zlib-ng": rb"\.zlib-ng\x00",
}
"""A text in the file of libvips that proves the library, with its version where the file has one. They are linked into
that file, and neither libvips nor its wheel tells their versions."""


class LibraryNotFound(Exception):
    """A wheel no longer contains what is listed here. Correct the list."""


@dataclass(frozen=True, slots=True)
class Library:
    """`version` is empty if nothing in the wheel states it."""

    name: str
    version: str


def components(wheel: Distribution) -> list[Component]:
    """Returns what the installed `wheel` contains besides its own code. Raises LibraryNotFound."""
    ask = _ASKED.get(wheel.metadata["Name"].lower())
    stated = [_described(each) for each in ask(wheel)] if ask else [*_from_wheel(wheel)]
    return [*stated, *_copied_files(wheel)]


def _described(library: Library) -> Component:
    component: Component = {"type": "library", "name": library.name}
    if library.version:
        component["version"] = library.version
    else:
        component["properties"] = [{"name": "darkroom:version", "value": "not stated in the wheel"}]
    if repository := REPOSITORIES.get(library.name):
        component["externalReferences"] = [{"type": "vcs", "url": repository}]
    return component


def _pillow(_: Distribution) -> Iterator[Library]:
    for name, feature in _IN_PILLOW.items():
        yield Library(name, _numbers(features.version(feature) or ""))
    # "dav1d [dec]:1.5.3-0-gb546257, aom [enc]:3.14.1"
    for codec in _avif.codec_versions().split(", "):
        name, _, version = codec.partition(":")
        yield Library(name.split()[0], _numbers(version))


def _libvips(wheel: Distribution) -> Iterator[Library]:
    yield Library("libvips", ".".join(str(pyvips.version(part)) for part in range(3)))
    paths = [file for file in wheel.files or () if re.search(r"\.libs/libvips-.*\.so", str(file))]
    if len(paths) != 1:
        raise LibraryNotFound(f"{wheel.name} {wheel.version} has no single file of libvips. Run this on Linux.")
    code = paths[0].read_binary()
    for name, pattern in _IN_LIBVIPS.items():
        found = re.search(pattern, code)
        if found is None:
            raise LibraryNotFound(f"{wheel.name} {wheel.version} has no {name}: correct the list in tools/bundled.py.")
        yield Library(name, found[1].decode() if found.groups() else "")


def _numpy(_: Distribution) -> Iterable[Library]:
    return [Library("openblas", np.show_config(mode="dicts")["Build Dependencies"]["blas"]["version"])]


def _uvloop(_: Distribution) -> Iterable[Library]:
    number = libuv_get_version()
    return [Library("libuv", f"{number >> 16}.{number >> 8 & 255}.{number & 255}")]


_ASKED: dict[str, Callable[[Distribution], Iterable[Library]]] = {
    "cffi": lambda _: [Library("libffi", "")],
    "httptools": lambda _: [Library("llhttp", "")],
    "numpy": _numpy,
    "pillow": _pillow,
    "pyvips-binary": _libvips,
    "uvloop": _uvloop,
}


def _numbers(version: str) -> str:
    """Returns the leading numbers of a version such as `1.5.3-0-gb546257`."""
    found = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return found[1] if found else ""


def _from_wheel(wheel: Distribution) -> Iterator[Component]:
    for file in wheel.files or ():
        if re.search(r"\.dist-info/sboms/.*\.json$", str(file)):
            for stated in json.loads(file.read_text()).get("components", ()):
                yield {key: stated[key] for key in ("type", "name", "version", "purl", "licenses") if key in stated}


def _copied_files(wheel: Distribution) -> Iterator[Component]:
    for file in wheel.files or ():
        if re.match(r"[\w.]+\.libs/", str(file)) and file.hash:
            digest = base64.urlsafe_b64decode(file.hash.value + "==").hex()
            yield {"type": "file", "name": str(file), "hashes": [{"alg": "SHA-256", "content": digest}]}
