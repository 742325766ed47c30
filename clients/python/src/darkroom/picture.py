"""A `<picture>` element: AVIF and WebP for browsers that support them, else JPEG or PNG, with a placeholder."""

from __future__ import annotations

import re
from html import escape
from typing import Literal, get_args

from darkroom.documents import DisplayedSize, Placeholder, Upload
from darkroom.urls import check_token

Loading = Literal["lazy", "eager"]
_LOADING = get_args(Loading)

_COLOR = re.compile(r"#[0-9a-f]{6}", re.ASCII)
_DATA_URL = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]{1,4096}={0,2}", re.ASCII)
"""The server's have some 300 characters. A longer PNG could unpack to gigabytes in the browser."""
_SOURCES = {"avif": "image/avif", "webp": "image/webp"}  # in the order in which browsers should try them
_ANIMATED = "animated"  # the effect of sizes that show this upload as an animation


def picture_html(
    upload: Upload,
    sizes: str = "100vw",
    *,
    alt: str = "",
    size: str | None = None,
    loading: Loading = "lazy",
    placeholder: bool = True,
    token: str | None = None,
) -> str:
    """Return a `<picture>` element for an upload, from the JSON of Darkroom's API. All values are escaped.

    Of an animation in an animated size, it offers WebP and the first frame in JPEG or PNG.

    `sizes` is HTML's attribute: how wide the page shows the image. The element offers all sizes with the aspect ratio
    and the effects of `size`, by default the largest without effects, in the formats of `size`; sizes that lack one of
    them are left out. Older browsers get JPEG, or PNG if the image is transparent and the size does not pad it; if the
    size has only one of the two, that one. `placeholder` paints the preview over its colour in a `style` attribute,
    but not for padded and grey sizes; turn it off if the page's Content-Security-Policy forbids inline styles.
    A private upload needs a `token` of `sign_token`; one whose URLs are public takes none.
    Raises ValueError if the upload has no such size, if it is not the API's JSON, or if `loading` is another word.

    >>> upload: Upload = {
    ...     "sizes": {"small": {"width": 150, "height": 150}},
    ...     "urls": {"small": {"jpg": "/s.jpg", "png": "/s.png", "webp": "/s.webp", "avif": "/s.avif"}},
    ...     "placeholder": {"thumbhash": "", "color": "#7a6b5c", "dataUrl": "data:image/png;base64,iVBORw0KGgo="},
    ... }
    >>> print(picture_html(upload, "(min-width: 40em) 50vw, 100vw", alt="A cat", placeholder=False))
    <picture><source type="image/avif" srcset="/s.avif 150w" sizes="(min-width: 40em) 50vw, 100vw"><source \
type="image/webp" srcset="/s.webp 150w" sizes="(min-width: 40em) 50vw, 100vw"><img src="/s.jpg" srcset="/s.jpg 150w" \
sizes="(min-width: 40em) 50vw, 100vw" width="150" height="150" alt="A cat" loading="lazy" decoding="async"></picture>
    """
    if loading not in _LOADING:
        raise ValueError(f"loading is {' or '.join(_LOADING)}, not {loading!r}")
    try:
        if token is not None:
            upload = _with_token(upload, token)
        return _element(upload, sizes, alt=alt, size=size, loading=loading, placeholder=placeholder)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"this is not the JSON of an upload from Darkroom's API ({error!r})") from error


def check_placeholder(placeholder: Placeholder) -> None:
    """Raise ValueError for a colour or a preview that must not get into a `style` attribute."""
    color, image = placeholder["color"], placeholder["dataUrl"]
    if not _COLOR.fullmatch(color):
        raise ValueError(f"a placeholder's colour is #rrggbb, not {color!r}")
    if image is not None and not _DATA_URL.fullmatch(image):
        raise ValueError(f"a placeholder's dataUrl is a small PNG in a data: URL, not {image[:100]!r}")


def _with_token(upload: Upload, token: str) -> Upload:
    check_token(token)
    urls = upload["urls"]
    if any("/private/" not in url for formats in urls.values() for url in formats.values()):
        raise ValueError("the upload is public: its URLs take no token")
    signed = {
        name: {format: f"{url}?token={token}" for format, url in formats.items()} for name, formats in urls.items()
    }
    return {**upload, "urls": signed}


def _element(upload: Upload, sizes: str, *, alt: str, size: str | None, loading: Loading, placeholder: bool) -> str:
    boxes = {name: upload["sizes"][name] for name in upload["urls"]}
    if size is None:
        chosen = max(boxes, key=lambda name: (_effects(boxes[name]) in ([], [_ANIMATED]), boxes[name]["width"]))
    elif size in boxes:
        chosen = size
    elif size in upload["sizes"]:  # `urls` lacks a size that repeats the pixels of another: take that one
        same = [name for name in boxes if boxes[name] == upload["sizes"][size]]
        if not same:
            raise ValueError(f"the upload has neither URLs of the size {size!r} nor of another with its pixels")
        chosen = same[0]
    else:
        raise ValueError(f"the upload has the sizes {', '.join(upload['sizes'])}, not {size!r}")
    formats = upload["urls"][chosen]
    complete = {name: boxes[name] for name, urls in upload["urls"].items() if urls.keys() >= formats.keys()}
    family = _of_same_shape(complete, chosen)
    sources = "".join(
        f'<source type="{media_type}"{_candidates(upload, family, format, sizes)}>'
        for format, media_type in _SOURCES.items()
        if format in formats
        and not (format == "avif" and _ANIMATED in _effects(boxes[chosen]))  # only WebP shows the animation
    )
    effects = [effect.partition(" ")[0] for effect in _effects(boxes[chosen])]
    # Transparent images have no preview; padded sizes of them are opaque. If it is not known, the server chooses.
    opaque = upload["placeholder"]["dataUrl"] or "pad" in effects
    fallbacks = ("jpg", "png") if opaque else ("auto", "png", "jpg")
    fallback = next((format for format in fallbacks if format in formats), "jpg")
    # The preview shows the original: it would fill the bars of `pad` and colour what is grey.
    style = _style(upload["placeholder"]) if placeholder and not {"pad", "grayscale"} & {*effects} else ""
    return (
        f'<picture>{sources}<img src="{escape(formats[fallback])}"'
        f"{_candidates(upload, family, fallback, sizes)}"
        f' width="{boxes[chosen]["width"]:d}" height="{boxes[chosen]["height"]:d}"'
        f' alt="{escape(alt)}" loading="{loading}" decoding="async"{style}></picture>'
    )


def _effects(box: DisplayedSize) -> list[str]:
    return box.get("effects", [])


def _of_same_shape(boxes: dict[str, DisplayedSize], chosen: str) -> list[str]:
    """Names of the sizes with the aspect ratio (up to rounding) and the effects of `chosen` by width.

    HTML allows each width only once: that of `chosen` is its own.
    """
    like = boxes[chosen]
    same: dict[int, str] = {}
    for name, box in boxes.items():
        tolerance = max(box["width"], box["height"], like["width"], like["height"])
        alike = abs(box["width"] * like["height"] - box["height"] * like["width"]) <= tolerance
        if alike and _effects(box) == _effects(like):
            same[box["width"]] = chosen if box["width"] == like["width"] else name
    return [same[width] for width in sorted(same)]


def _candidates(upload: Upload, names: list[str], format: str, sizes: str) -> str:
    srcset = ", ".join(f"{upload['urls'][name][format]} {upload['sizes'][name]['width']:d}w" for name in names)
    return f' srcset="{escape(srcset)}" sizes="{escape(sizes)}"'


def _style(placeholder: Placeholder) -> str:
    """The colour, and the preview over it; empty for transparent images, which would let it show through."""
    color, image = placeholder["color"], placeholder["dataUrl"]
    if image is None:
        return ""
    check_placeholder(placeholder)
    return f' style="background:{color} url({image}) center/cover"'
