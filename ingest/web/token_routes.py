"""The call that signs tokens for private variants, for callers that may read uploads but have no `SIGNING_KEYS`."""

from datetime import UTC, datetime
from time import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from darkroom import sign_token
from ingest.ingest_errors import Malformed
from ingest.serialization import schemas
from ingest.web.query_parameters import read_ids, read_query
from proxy.settings import Settings

TOKENS_PATH = "/images/tokens"
LIFETIME = 900
"""Seconds for which a token is valid at least."""
_STEP = 300  # seconds: tokens end at multiples of it, so that repeated calls give the same URLs, which browsers cache


class TokenRoutes:
    """`GET /images/tokens`. Without `SIGNING_KEYS`, the call is 404."""

    def __init__(self, settings: Settings) -> None:
        self._keys = [key.get_secret_value() for key in settings.signing_keys]

    async def show(self, request: Request) -> Response:
        """Signs without looking up the uploads: callers with the scope `read` may download every original anyway."""
        if not self._keys:
            raise HTTPException(404, "This server signs no tokens: SIGNING_KEYS is not set.")
        values = read_query(request, ("ids",))
        if "ids" not in values:
            raise Malformed("Say for which uploads: `GET /images/tokens?ids=ID,ID`.")
        expires = -(-(int(time()) + LIFETIME) // _STEP) * _STEP
        document: schemas.Tokens = {
            "tokens": {
                each: sign_token(each, self._keys[0], expires=expires) for each in sorted(read_ids(values["ids"]))
            },
            "expiresAt": datetime.fromtimestamp(expires, UTC).isoformat(),
        }
        return JSONResponse(document, headers={"Cache-Control": "no-store"})
