"""An upload's sizes and URLs from its id and its dimensions, as the server lists them: no request is needed."""

from __future__ import annotations

from typing import Literal

from darkroom.documents import ConfiguredSize, ConfiguredSizes, DisplayedSize, Placeholder, Upload
from darkroom.urls import check_upload_id

Visibility = Literal["public", "private"]

MAX_SIDE = 65_535
"""Pixels: more than any server accepts."""

_UNKNOWN: Placeholder = {"thumbhash": "", "color": "", "dataUrl": None}


def describe_upload(
    sizes: ConfiguredSizes,
    upload_id: str,
    width: int,
    height: int,
    *,
    placeholder: Placeholder | None = None,
    visibility: Visibility = "public",
    animated: bool | None = None,
) -> Upload:
    """Return the data of an upload that `picture_html` reads, from the JSON of `GET /sizes` and your database.

    `width` and `height`: the `dimensions` of the upload's JSON, in pixels. `placeholder`: that of the upload's JSON;
    without it, the element shows nothing until the image has loaded, and the server chooses the format for older
    browsers. `animated`: that of the upload's JSON; None, if it is not known, counts as an animation: the element then
    offers no AVIF of animated sizes. Raises ValueError for malformed arguments.
    """
    check_upload_id(upload_id)
    check_dimensions(width, height)
    if visibility not in ("public", "private"):
        raise ValueError(f"visibility is public or private, not {visibility!r}")
    try:
        boxes = {name: _displayed(size, width, height, animated is not False) for name, size in sizes["sizes"].items()}
        offered = _offered(sizes["sizes"], boxes, (width, height))
        folder = f"{sizes['base']}/{'private' if visibility == 'private' else 'images'}/{upload_id}"
        urls = {
            name: {
                format: f"{folder}/{name}.{format}"
                for format in (*sizes["sizes"][name]["formats"], *(() if placeholder else ("auto",)))
            }
            for name in offered
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not the JSON of GET /sizes ({error!r})") from error
    return {"sizes": boxes, "urls": urls, "placeholder": placeholder or _UNKNOWN}


def check_dimensions(width: object, height: object) -> None:
    """Raise ValueError for what no image has: a page would show it wrong, or fail at the arithmetic of huge numbers."""
    if not all(type(side) is int and 1 <= side <= MAX_SIDE for side in (width, height)):
        raise ValueError(f"dimensions are whole numbers of pixels up to {MAX_SIDE}, not {width!r} x {height!r}")


def _offered(sizes: dict[str, ConfiguredSize], boxes: dict[str, DisplayedSize], original: tuple[int, int]) -> list[str]:
    """Leaves out each size that only repeats the whole original as an earlier one of the same look does."""
    first: dict[int | str, str] = {}
    for name, size in sizes.items():
        is_whole = (boxes[name]["width"], boxes[name]["height"]) == original
        first.setdefault(size["look"] if is_whole else name, name)
    return [*first.values()]


def _displayed(size: ConfiguredSize, width: int, height: int, animated: bool) -> DisplayedSize:
    """The dimensions of the variant, as the server computes them (`place` in `proxy/imaging/resize.py`)."""
    box_width, box_height = size["width"], size["height"]
    is_whole = True
    if size["fit"] == "inside":
        scale = min(1.0, box_width / width if box_width else 1.0, box_height / height if box_height else 1.0)
        shown = max(1, round(width * scale)), max(1, round(height * scale))
    elif box_width is None or box_height is None:
        raise TypeError("only sizes that fit inside have an open side")
    else:
        shown = box_width, box_height
        if size["fit"] == "cover":
            scale = max(box_width / width, box_height / height)
            crop = max(1, round(min(box_width / scale, width))), max(1, round(min(box_height / scale, height)))
            is_whole = crop == (width, height)
            if size["mayBeSmaller"] and scale > 1:
                shown = crop
    displayed: DisplayedSize = {"width": shown[0], "height": shown[1]}
    effects = [each for each in size["effects"] if not (is_whole and each.startswith("position "))]
    if effects := [each for each in effects if animated or each != "animated"]:
        displayed["effects"] = effects
    return displayed
