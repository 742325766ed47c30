"""The CDN: that it asks Darkroom for what is missing, passes headers on, ignores queries, and takes invalidations."""

import re
from uuid import uuid4

from ingest.edge.cdn import Cdn
from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning
from ingest.maintenance.doctor.http_client import Answer, Fetch
from proxy.keys import VARIANTS_PREFIX, variant_path
from proxy.model import Sizes, Variant, new_upload_id, parse_upload_id
from proxy.storage.object_store import ObjectStore
from proxy.variants.encoded_variant import CACHE_CONTROL

_LONGEST_404 = 300  # seconds; Darkroom says 60
_ADVICE = "See docs/deploy.md."


async def missing_picture(cdn_url: str, sizes: Sizes, fetch: Fetch) -> CheckResult:
    """A picture that never was: the CDN asks Darkroom, shows its 404, and forgets it soon. Raises CdnUnavailable."""
    url = cdn_url + variant_path(new_upload_id(), sizes.standard[0])
    answer = await fetch(url)
    if 300 <= answer.status < 400:
        return failed(f"{cdn_url} redirects to {answer.headers.get('Location')}: set CDN_URL to where the pictures are.")
    if answer.status != 404:
        return failed(
            f"For a picture that never was, the CDN answers {answer.status}, not 404: it must ask Darkroom for what "
            f"the bucket lacks (403 and 404). {_ADVICE}"
        )
    if answer.headers.get_content_type() != "application/problem+json":
        return failed(f"Something other than Darkroom answers 404 through the CDN: point it at the proxy. {_ADVICE}")
    if (age := _max_age(answer)) > _LONGEST_404:
        return failed(f"The CDN has its callers keep a 404 for {age} s, and new pictures stay broken so long. {_ADVICE}")
    if cdn_url.startswith("http://"):
        return warning("asks Darkroom, but without TLS: pages on https:// will not show its pictures. Use https://.")
    return ok("asks Darkroom for what is missing")


async def stored_picture(cdn_url: str, sizes: Sizes, store: ObjectStore, fetch: Fetch) -> CheckResult:
    """One that is stored: its headers arrive, and a query changes nothing. Raises StoreUnavailable, CdnUnavailable."""
    found = await _any_variant(store, sizes)
    if found is None:
        return ok("no variant is stored yet that could be looked at")
    path, variant = found
    answer, queried = await fetch(cdn_url + path), await fetch(f"{cdn_url}{path}?doctor={uuid4().hex}")
    if wrong := _wrong(answer, variant):
        return failed(f"{path} through the CDN: {'; '.join(wrong)}. {_ADVICE}")
    if (queried.status, queried.body) != (answer.status, answer.body):
        return failed(f"{path} is another answer with a query: the CDN must leave queries out of its key. {_ADVICE}")
    return ok("a stored variant arrives as it should, for a year")


async def invalidations(cdn: Cdn) -> CheckResult:
    """Tells it to forget a tag that nothing carries. Raises CdnUnavailable."""
    await cdn.forget([f"doctor-{uuid4().hex}"])
    return ok("takes invalidations by tag")


async def _any_variant(store: ObjectStore, sizes: Sizes) -> tuple[str, Variant] | None:
    """Its path; of the first thousand objects, lest a bucket full of other sizes takes minutes."""
    seen = 0
    async for info in store.list(VARIANTS_PREFIX):
        upload_id, _, name = info.key.removeprefix(VARIANTS_PREFIX).partition("/")
        if parse_upload_id(upload_id) and (variant := sizes.parse(name)):
            return f"/{info.key}", variant
        if (seen := seen + 1) == 1000:
            break
    return None


def _wrong(answer: Answer, variant: Variant) -> list[str]:
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
    """A header's list, whatever its order and spacing."""
    return {word.strip().lower() for word in (value or "").split(",")}


def _max_age(answer: Answer) -> int:
    """Seconds; 0 where nothing is said."""
    match = re.search(r"max-age=(\d+)", answer.headers.get("Cache-Control", ""))
    return int(match[1]) if match else 0
