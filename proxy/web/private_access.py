"""Access to private variants: by a token, or through an edge that has verified the token itself."""

import hmac
import re
from collections.abc import Callable
from time import time

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import Response

from proxy.errors import InvalidToken
from proxy.model import UploadId, parse_upload_id
from proxy.private_tokens import seconds_left
from proxy.settings import Settings
from proxy.variants.encoded_variant import MAX_PRIVATE_AGE

CACHING_HEADER = "X-Variant-Cache-Control"
"""Header of the response to a verification: the `Cache-Control` that the edge sends with the variant."""

_EDGE_SECRET, _ORIGINAL_URI = "x-edge-secret", "x-original-uri"
_VARIANT_URI = re.compile(r"/private/([^/?]+)/[^/?]+(?:\?(.*))?", re.ASCII | re.DOTALL)


class PrivateAccess:
    """Checks requests for private variants, with SIGNING_KEYS and EDGE_SECRET. Asks no store and no database."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time) -> None:
        self._keys = [key.get_secret_value() for key in settings.signing_keys]
        self._edge_secret = settings.edge_secret.get_secret_value().encode() if settings.edge_secret else None
        self._clock = clock

    def check(self, upload_id: UploadId, headers: Headers, query: QueryParams) -> str:
        """Returns the `Cache-Control` of the response. Raises InvalidToken.

        With EDGE_SECRET, the request must have the secret, and may lack the token, which the edge has verified.
        """
        if self._edge_secret is not None:
            given = headers.get(_EDGE_SECRET, "").encode("latin-1")
            if not hmac.compare_digest(given, self._edge_secret):
                raise InvalidToken("Private images are served through the edge only. Use its URL.")
            if "token" not in query:
                return _caching(MAX_PRIVATE_AGE)
        return self._check_token(upload_id, query)

    async def verify(self, request: Request) -> Response:
        """Returns 204 if the token in `X-Original-URI`, a variant's path and query, is valid. Raises InvalidToken.

        An edge that has the variant in its cache calls this before it sends the variant to a client.
        """
        match = _VARIANT_URI.fullmatch(request.headers.get(_ORIGINAL_URI, ""))
        upload_id = parse_upload_id(match[1]) if match else None
        if match is None or upload_id is None:
            raise InvalidToken("Send the path and the query of a private variant as `X-Original-URI`.")
        caching = self._check_token(upload_id, QueryParams(match[2] or ""))
        return Response(status_code=204, headers={CACHING_HEADER: caching, "Cache-Control": "no-store"})

    def _check_token(self, upload_id: UploadId, query: QueryParams) -> str:
        tokens = query.getlist("token")
        return _caching(seconds_left(self._keys, upload_id, tokens[0] if len(tokens) == 1 else "", self._clock()))


def _caching(seconds: float) -> str:
    return f"private, max-age={min(int(seconds), MAX_PRIVATE_AGE)}"
