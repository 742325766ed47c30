"""Rejects uploads that a browser sends on behalf of another site (CSRF).

Any site can send a form to 127.0.0.1, and a server without API keys would accept it. With API keys no check is needed:
another site has none. Reading needs no check either: without CORS, browsers hide responses from other sites.
"""

from urllib.parse import urlsplit

from starlette.datastructures import Headers

from ingest.ingest_errors import CrossSite


def refuse_cross_site(headers: Headers, public_url: str | None) -> None:
    """Raises CrossSite. Requests without either header pass: they do not come from a browser.

    Old browsers, and all browsers over plain HTTP to a named host, send no `Sec-Fetch-Site`. Then `Origin` must match
    `Host`, or the host of `public_url`, because proxies rewrite `Host`.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_cross_site = site == "cross-site"
    else:
        own_hosts = {headers.get("host"), urlsplit(public_url or "").netloc} - {""}
        is_cross_site = origin is not None and origin.partition("://")[2] not in own_hosts
    if is_cross_site:
        raise CrossSite("A page of another site sent this upload. Upload from this server's page or from a back end.")
