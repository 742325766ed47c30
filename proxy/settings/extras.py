"""Tells which packages the sizes need that are not installed: numpy and libvips are extras."""

from typing import TYPE_CHECKING

from proxy import system
from proxy.model import Position

if TYPE_CHECKING:
    from proxy.settings.toml_tables import SizeSettings


def lack_of_extras(tables: dict[str, "SizeSettings"]) -> dict[str, str]:
    """Returns what to do about numpy and libvips, by extra, if sizes need them and they are not installed.

    Imports neither.
    """
    auto = [name for name, table in tables.items() if table.quality == "auto"]
    attention = [name for name, table in tables.items() if table.position is Position.ATTENTION]
    mistakes = {}
    if auto and not system.has_numpy():
        mistakes["auto-quality"] = (
            f'quality = "auto" of {", ".join(auto)} needs numpy, which is not installed. '
            "Run pip install 'darkroom-origin[auto-quality]', or remove quality = \"auto\" to use a fixed quality."
        )
    if attention and not system.has_libvips():
        mistakes["vips"] = (
            f'position = "attention" of {", ".join(attention)} needs libvips, which is not installed. '
            "Run pip install 'darkroom-origin[vips]', or remove position = \"attention\" to crop around the centre."
        )
    return mistakes
