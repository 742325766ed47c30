"""Sends one webhook: signed, to public addresses only, within a deadline."""

import asyncio
import hmac
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from http.client import HTTPException
from urllib.parse import urlsplit

import anyio

from ingest.checked_connection import PORTS, CheckedConnection, read_retry_after
from ingest.public_addresses import AddressNotPublic, resolve_public
from proxy.settings import decode_webhook_secret

DEADLINE = 15.0
"""Seconds for one attempt, as Standard Webhooks recommends (15 to 30)."""
_MAX_RETRY_AFTER = 3600.0
_GONE = 410  # the receiver wants no more: https://github.com/standard-webhooks/standard-webhooks, "Delivery"


class NotDelivered(Exception):
    """The receiver did not accept a webhook. The message says why; it names no URL, which may hold a secret.

    `is_final`: sending it again is pointless. `retry_after`: the seconds that the receiver asked for; 0 if it did not.
    """

    def __init__(self, message: str, *, is_final: bool = False, retry_after: float = 0) -> None:
        super().__init__(message)
        self.is_final = is_final
        self.retry_after = retry_after


class WebhookSender:
    """Sends to one URL. Follows no redirects, uses no proxy, and reads only the status and `Retry-After`.

    `secrets`: as in WEBHOOK_SECRET; each signs. `allow_private`: also sends to addresses that are not public.
    `concurrency`: requests at the same time.
    """

    def __init__(self, url: str, secrets: Sequence[str], *, allow_private: bool = False, concurrency: int = 20) -> None:
        self._url = urlsplit(url)
        self._target = (self._url.path or "/") + (f"?{self._url.query}" if self._url.query else "")
        self._keys = [decode_webhook_secret(secret) for secret in secrets]
        self._allow_private = allow_private
        self._certificates = ssl.create_default_context()  # takes 20 ms, so not for each request
        self._lookup: asyncio.Task[list[str]] | None = None
        # Not the threads of the default limiter: a slow receiver must not delay uploads and derivations.
        self._threads = anyio.CapacityLimiter(concurrency)

    async def send(self, webhook_id: str, body: str) -> None:
        """Sends a webhook once. Raises NotDelivered unless the receiver answers 2xx in time."""
        content = body.encode()
        headers = sign(self._keys, webhook_id, int(time.time()), content)
        headers |= {"Content-Type": "application/json", "User-Agent": "Darkroom"}
        try:
            async with asyncio.timeout(DEADLINE):
                status, retry_after = await self._post(headers, content)
        except AddressNotPublic as error:
            raise NotDelivered(f"{error} To allow it, set WEBHOOK_ALLOW_PRIVATE=true.") from error
        except TimeoutError:
            raise NotDelivered(f"The receiver did not answer within {DEADLINE:g} seconds.") from None
        except OSError as error:
            reason = error.strerror or str(error) or type(error).__name__
            raise NotDelivered(f"The receiver cannot be reached: {reason}.") from error
        except ValueError as error:  # no request may escape the limit of a day
            raise NotDelivered(f"The request cannot be written: {type(error).__name__}.") from error
        except HTTPException as error:  # its message may hold what an internal service says
            raise NotDelivered(f"The receiver does not answer in HTTP: {type(error).__name__}.") from error
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise NotDelivered(f"The receiver redirects ({status}): set WEBHOOK_URL to the redirect's target.")
        raise NotDelivered(f"The receiver answered {status}.", is_final=status == _GONE, retry_after=retry_after)

    async def _post(self, headers: dict[str, str], content: bytes) -> tuple[int, float]:
        """Returns the status and `Retry-After`, in seconds. Raises AddressNotPublic, OSError or HTTPException."""
        connection = CheckedConnection(self._url, await self._addresses(), stall=DEADLINE, tls=self._certificates)

        def post() -> tuple[int, float]:
            connection.request("POST", self._target, content, headers)
            with connection.getresponse() as response:
                return response.status, min(_MAX_RETRY_AFTER, read_retry_after(response))

        return await connection.run(post, self._threads)

    async def _addresses(self) -> list[str]:
        """Returns the receiver's addresses. Raises AddressNotPublic or OSError.

        All that wait share one look-up: if the name server is slow, the process can still resolve other names.
        """
        if self._lookup is None or self._lookup.done():
            host, port = self._url.hostname or "", self._url.port or PORTS[self._url.scheme]
            self._lookup = asyncio.create_task(resolve_public(host, port, allow_private=self._allow_private))
            # Marks its exception as retrieved: all callers may have been cancelled.
            self._lookup.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._lookup)


def sign(keys: Sequence[bytes], webhook_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Returns the headers of a webhook, with one signature for each key. `timestamp`: Unix seconds.

    https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md, "Signature scheme".
    """
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = ["v1," + b64encode(hmac.digest(key, signed, "sha256")).decode() for key in keys]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
