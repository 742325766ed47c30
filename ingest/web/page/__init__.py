"""The upload page: a fixed list of static files, served with a strict Content-Security-Policy."""

from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.web.whole_file import WholeFile
from proxy.model import SourceFormat, list_labels

_FOLDER = Path(__file__).parent
_STYLES = ("style.css", "controls.css", "uploads.css", "details.css", "compare.css", "changes.css", "recent.css")
_MODULES = (
    "access.js",
    "api.js",
    "app.js",
    "card.js",
    "changes.js",
    "clipboard.js",
    "command.js",
    "compare.js",
    "crop.js",
    "details.js",
    "dialog.js",
    "dom.js",
    "events.js",
    "facts.js",
    "files.js",
    "focus.js",
    "fold.js",
    "follow.js",
    "formatting.js",
    "frame.js",
    "gallery.js",
    "item.js",
    "key.js",
    "limiter.js",
    "names.js",
    "previews.js",
    "problem.js",
    "recent.js",
    "search.js",
    "selection.js",
    "snippet.js",
    "stage.js",
    "tile.js",
    "upload.js",
    "warmup.js",
)
_FILES: Mapping[str, str] = {"/": "index.html"} | {f"/page/{name}": name for name in (*_STYLES, *_MODULES, "icon.svg")}
_MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
"""Not from `mimetypes`, whose table differs between systems; browsers run modules only as `text/javascript`."""

PAGE_PATHS = tuple(_FILES)


def page_routes(url_base: str, accept: Collection[SourceFormat]) -> list[Route]:
    """Returns the page's routes.

    `url_base`: the prefix of the variants' URLs, or an empty string. `accept`: the formats that the file chooser
    offers.
    """
    start = (_FOLDER / "index.html").read_text()
    start = start.replace("FORMATS", list_labels(accept)).replace("MEDIA-TYPES", ",".join(_choosable(accept)))
    headers = {
        "Content-Security-Policy": content_security_policy(url_base),
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-cache",
    }

    async def serve(request: Request) -> Response:
        name = _FILES[request.url.path]
        media_type = _MEDIA_TYPES[Path(name).suffix]
        if name == "index.html":
            return Response(start, headers=headers, media_type=media_type)
        return WholeFile(_FOLDER / name, headers=headers, media_type=media_type)

    return [Route(path, serve, methods=["GET"]) for path in _FILES]


def _choosable(accept: Collection[SourceFormat]) -> list[str]:
    """Returns the media types and extensions for a file chooser. Some systems do not know HEIC's media type."""
    return [format.media_type for format in accept] + [".heic"] * (SourceFormat.HEIC in accept)


def content_security_policy(url_base: str) -> str:
    """Allows this server's files and calls, and images from the variants' origin. Forbids HTML made from text."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            f"img-src {image_sources(url_base)} blob: data:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def image_sources(url_base: str) -> str:
    """The `img-src` of a policy: this server and the origin of `url_base`."""
    base = urlsplit(url_base)
    return f"'self' {base.scheme}://{base.netloc}" if base.netloc else "'self'"
