"""HEIC (the optional extra `heic`): lets Pillow decode it through libheif and libde265."""

from functools import cache
from importlib import import_module

from proxy import system
from proxy.errors import UnsupportedFormat


@cache
def load() -> None:
    """Loads the library, on first use or before the sandbox. Raises UnsupportedFormat if it is not installed."""
    if not system.has_pillow_heif():
        raise UnsupportedFormat("HEIC is not accepted: this server lacks pillow-heif. Convert the file to JPEG.")
    heif = import_module("pillow_heif")
    heif.options.DECODE_THREADS = 1  # the pool already uses every processor
    heif.register_heif_opener(thumbnails=False)
