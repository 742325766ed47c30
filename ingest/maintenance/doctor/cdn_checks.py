"""Checks that the CDN requests missing variants from Darkroom, keeps headers, ignores queries and can invalidate."""

import re
from uuid import uuid4

from ingest.edge.cdn import Cdn
from ingest.maintenance.doctor.findings import CheckResult, failed, ok, skipped, warning
from ingest.maintenance.doctor.http_client import Answer, Fetch
from proxy.keys import VARIANTS_PREFIXES, variant_path
from proxy.model import Sizes, Variant, Visibility, new_upload_id, parse_upload_id
from proxy.storage.object_store import ObjectStore
from proxy.variants.encoded_variant import CACHE_CONTROL, upload_tag

_MAX_404_AGE = 300  # seconds; Darkroom sends 60
_ADVICE = "See docs/deploy.md."


async def missing_variant(cdn_url: str, sizes: Sizes, fetch: Fetch) -> CheckResult:
    """Checks that the CDN passes on Darkroom's 404 for an unknown upload, briefly cached. Raises CdnUnavailable."""
    url = cdn_url + variant_path(new_upload_id(), sizes.variants[0])
    answer = await fetch(url)
    if 300 <= answer.status < 400:
        return failed(f"{cdn_url} redirects to {answer.headers.get('Location')}: set CDN_URL to the redirect's target.")
    if answer.status != 404:
        return failed(
            f"For an unknown upload, the CDN answers {answer.status}, not 404: it must request from Darkroom what the "
            f"bucket does not have (403 and 404). {_ADVICE}"
        )
    if answer.headers.get_content_type() != "application/problem+json":
        return failed(f"The CDN's 404 comes from something other than Darkroom: point the CDN at the proxy. {_ADVICE}")
    if (age := _max_age(answer)) > _MAX_404_AGE:
        return failed(f"The CDN lets browsers keep a 404 for {age} s, so new images stay broken that long. {_ADVICE}")
    if cdn_url.startswith("http://"):
        return warning("CDN_URL is plain HTTP: pages on https:// will not show its images. Use https://.")
    return ok("requests missing variants from Darkroom")


async def stored_variant(cdn_url: str, sizes: Sizes, store: ObjectStore, fetch: Fetch) -> CheckResult:
    """Checks that the CDN keeps headers and ignores query strings. Raises StoreUnavailable, CdnUnavailable."""
    found = await _any_variant(store, sizes)
    if found is None:
        return skipped("no variant is stored yet")
    path, variant = found
    answer, queried = await fetch(cdn_url + path), await fetch(f"{cdn_url}{path}?doctor={uuid4().hex}")
    if faults := _find_faults(answer, variant):
        return failed(f"{path} through the CDN: {'; '.join(faults)}. {_ADVICE}")
    if (queried.status, queried.body) != (answer.status, answer.body):
        return failed(f"{path} differs with a query string: the CDN must leave queries out of its cache key. {_ADVICE}")
    return ok("serves a stored variant with the right headers")


async def invalidations(cdn: Cdn) -> CheckResult:
    """Checks that the CDN accepts an invalidation, of the tag of an unknown upload. Raises CdnUnavailable."""
    await cdn.invalidate([upload_tag(new_upload_id())])
    return ok("accepts invalidations")


async def _any_variant(store: ObjectStore, sizes: Sizes) -> tuple[str, Variant] | None:
    """Finds a variant of a configured size among the first thousand objects: a longer search may take minutes."""
    seen, prefix = 0, VARIANTS_PREFIXES[Visibility.PUBLIC]
    async for info in store.list(prefix):
        upload_id, _, name = info.key.removeprefix(prefix).partition("/")
        if parse_upload_id(upload_id) and (variant := sizes.parse(name)):
            return f"/{info.key}", variant
        if (seen := seen + 1) == 1000:
            break
    return None


def _find_faults(answer: Answer, variant: Variant) -> list[str]:
    if answer.status != 200:
        return [f"it answers {answer.status}"]
    expected = {
        "Content-Type": variant.format.media_type,
        "Cache-Control": CACHE_CONTROL,
        "X-Content-Type-Options": "nosniff",
    }
    found = {name: answer.headers.get(name) for name in expected}
    return [
        f"{name} is {found[name] or 'missing'}, not {value}"
        for name, value in expected.items()
        if _words(found[name]) != _words(value)
    ]


def _words(value: str | None) -> set[str]:
    """Splits a header's list. Order, case and spacing do not matter."""
    return {word.strip().lower() for word in (value or "").split(",")}


def _max_age(answer: Answer) -> int:
    """Returns the max-age in seconds; 0 without one."""
    match = re.search(r"max-age=(\d+)", answer.headers.get("Cache-Control", ""))
    return int(match[1]) if match else 0
