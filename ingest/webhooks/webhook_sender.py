"""Sends one webhook: signed, to public addresses only, within a deadline."""

import asyncio
import hmac
import time
from base64 import b64encode
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

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
    """Sends to one URL. Follows no redirects, uses no proxy, and reads nothing but the status and `Retry-After`.

    `secrets`: as in WEBHOOK_SECRET; each signs. `allow_private`: also sends to addresses that are not public.
    """

    def __init__(self, url: str, secrets: Sequence[str], *, allow_private: bool = False) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        self._url = httpx.URL(url)
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._keys = [decode_webhook_secret(secret) for secret in secrets]
        self._allow_private = allow_private
        self._certificates = httpx.create_ssl_context()  # takes 20 ms, so not for each request

    async def send(self, webhook_id: str, body: str) -> None:
        """Sends a webhook once. Raises NotDelivered unless the receiver answers 2xx in time."""
        content = body.encode()
        headers = sign(self._keys, webhook_id, int(time.time()), content)
        headers |= {"Content-Type": "application/json", "User-Agent": "Darkroom", "Host": self._url.netloc.decode()}
        try:
            async with asyncio.timeout(DEADLINE):
                addresses = await resolve_public(self._host, self._port, allow_private=self._allow_private)
                status, retry_after = await self._post(addresses, headers, content)
        except AddressNotPublic as error:
            raise NotDelivered(f"{error} Set WEBHOOK_ALLOW_PRIVATE=true if that is meant.") from error
        except TimeoutError:
            raise NotDelivered(f"The receiver did not answer within {DEADLINE:g} seconds.") from None
        except (httpx.HTTPError, OSError) as error:
            raise NotDelivered(f"The receiver cannot be reached: {str(error) or type(error).__name__}.") from error
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise NotDelivered(f"The receiver redirects ({status}): set WEBHOOK_URL to the redirect's target.")
        raise NotDelivered(
            f"The receiver answered {status}.", is_final=status == _GONE, retry_after=_seconds(retry_after)
        )

    async def _post(self, addresses: Sequence[str], headers: dict[str, str], content: bytes) -> tuple[int, str]:
        """Posts to the first address that accepts a connection. Returns the status and `Retry-After`."""
        # The connection goes to the address that was judged: a name may resolve to another one the next time.
        async with httpx.AsyncClient(verify=self._certificates, trust_env=False, timeout=DEADLINE) as client:
            for address in addresses:
                url = self._url.copy_with(host=address)
                request = client.build_request("POST", url, headers=headers, content=content)
                request.extensions["sni_hostname"] = self._host  # also the name that the certificate must have
                try:
                    response = await client.send(request, stream=True)
                except httpx.ConnectError:
                    if address == addresses[-1]:
                        raise
                    continue
                await response.aclose()
                return response.status_code, response.headers.get("Retry-After", "")
        raise AssertionError("unreachable: a name without addresses is an OSError")


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


def _seconds(retry_after: str) -> float:
    """Reads `Retry-After` in seconds; a date, which needs equal clocks, counts as none."""
    return min(_MAX_RETRY_AFTER, float(retry_after)) if retry_after.isascii() and retry_after.isdigit() else 0
