"""HTML responses for browsers that post the upload form without JavaScript."""

from collections.abc import Mapping
from html import escape

from starlette.responses import HTMLResponse, Response

from darkroom import picture_html
from ingest.serialization.schemas import Accepted
from ingest.web.page import image_sources
from proxy.errors import ServiceError
from proxy.model import Visibility
from proxy.web.problems import problem

_WIDTH = "36rem"  # of the page's column, for the picture's `sizes` attribute
_PRIVATE = {
    "location": "where it was taken",
    "serial": "serial numbers",
    "author": "its author",
    "time": "when it was taken",
    "device": "camera and program",
    "comments": "comments",
    "thumbnail": "an embedded thumbnail",
    "provenance": "who made and edited it",
    "picture": "further pictures in the file",
}


class FormPages:
    """Builds the pages for browsers without JavaScript.

    Their Content-Security-Policy allows images of this server and of the origin of `url_base`, this server's style
    sheet, and no scripts. `url_base`: the prefix of the variants' URLs, or an empty string.
    """

    def __init__(self, url_base: str) -> None:
        self._headers: Mapping[str, str] = {
            "Content-Security-Policy": "default-src 'none'; style-src 'self'; "
            f"img-src {image_sources(url_base)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }

    def uploaded(self, document: Accepted) -> Response:
        """Returns the page for an accepted upload."""
        picture = picture_html(
            document,
            f"(min-width: {_WIDTH}) {_WIDTH}, 100vw",
            alt="The image that you uploaded",
            loading="eager",
            placeholder=False,  # the policy allows no inline styles
        )
        if document["visibility"] is Visibility.PRIVATE:
            picture = "The image is private: its URLs need a token."
        content = f"<h1>Uploaded</h1>\n<p>{picture}</p>\n{_privacy(document)}{_variants(document)}"
        return self._page("Uploaded", content, 201, {})

    def refused(self, error: ServiceError) -> Response:
        """Returns the page for a refused upload, with the status and headers of its problem response."""
        answer = problem(error)
        kept = {name: value for name, value in answer.headers.items() if name in ("retry-after", "www-authenticate")}
        content = f"<h1>{escape(error.title)}</h1>\n<p>{escape(str(error))}</p>\n<p>Status {answer.status_code}</p>\n"
        return self._page(error.title, content, answer.status_code, kept)

    def _page(self, title: str, content: str, status: int, headers: Mapping[str, str]) -> Response:
        page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)} · Darkroom</title>
<link rel="stylesheet" href="../page/style.css">
</head>
<body>
<main>
{content}<p><a href="../">Upload another</a></p>
</main>
</body>
</html>
"""
        return HTMLResponse(page, status, {**self._headers, **headers})


def _privacy(document: Accepted) -> str:
    """Lists the private metadata that variants do not carry, and that they keep."""
    privacy = document["privacy"] or {"removed": [], "kept": []}
    lines = {"Variants do not carry": privacy["removed"], "Variants keep": privacy["kept"]}
    return "".join(
        f"<p>{start}: {escape(', '.join(_PRIVATE.get(kind, kind) for kind in kinds))}.</p>\n"
        for start, kinds in lines.items()
        if kinds
    )


def _variants(document: Accepted) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(size)}</th><td>{box["width"]} by {box["height"]}</td><td>'
        + " ".join(f'<a href="{escape(url)}">{escape(format)}</a>' for format, url in document["urls"][size].items())
        + "</td></tr>\n"
        for size, box in document["sizes"].items()
    )
    head = '<tr><th scope="col">Size</th><th scope="col">Pixels</th><th scope="col">Format</th></tr>'
    return f"<table>\n<caption>All variants</caption>\n<thead>{head}</thead>\n<tbody>\n{rows}</tbody>\n</table>\n"
