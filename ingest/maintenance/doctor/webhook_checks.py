"""Checks that webhooks can reach their receiver."""

from urllib.parse import urlsplit

from ingest.checked_connection import PORTS
from ingest.maintenance.doctor.findings import CheckResult, failed, ok
from ingest.public_addresses import AddressNotPublic, resolve_public


async def receiver(url: str, allow_private: bool) -> CheckResult:
    """Resolves the receiver's name, as each attempt does. Sends nothing: the receiver would not know the event."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        await resolve_public(host, parts.port or PORTS[parts.scheme], allow_private=allow_private)
    except AddressNotPublic as error:
        return failed(f"{error} Correct WEBHOOK_URL, or, to allow it, set WEBHOOK_ALLOW_PRIVATE=true.")
    except OSError:
        return failed(f"The host {host} of WEBHOOK_URL cannot be resolved: correct it, or the DNS.")
    return ok(f"sent to {host}; darkroom webhooks shows those that were given up")
