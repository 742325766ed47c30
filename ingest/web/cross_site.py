"""Uploads that a browser sends for the page of another site, without its user's knowledge (CSRF).

A form needs nobody's leave to be sent to 127.0.0.1, and a server without keys takes what comes. Where there are keys,
no other site's page has one. Reading needs no such check: without CORS, browsers show foreign pages no answer.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from ingest.errors import CrossSite


def refuse_cross_site(headers: Headers, public_url: str | None) -> None:
    """Raises CrossSite. What is no browser, and sends neither header, goes through.

    `Sec-Fetch-Site` is the browser's own word; it is missing in old browsers, and where the server is reached over
    plain HTTP under a name. There `Origin` must be the host that was asked for, or that of `public_url`: proxies
    rewrite `Host`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        foreign = site == "cross-site"
    else:
        ours = {headers.get("host"), urlsplit(public_url or "").netloc} - {""}
        foreign = origin is not None and origin.partition("://")[2] not in ours
    if foreign:
        raise CrossSite("A browser sent this for the page of another site. Use a page of this server, or a back end.")
