"""API keys: which paths need one, and which are accepted."""

import json
from collections.abc import Callable

import pytest

from proxy.keys import original_key
from tests.unit.proxy.web.site import Site


@pytest.fixture
def locked(make_site: Callable[..., Site]) -> Site:
    return make_site(api_keys=("first key", "second"))


async def status(site: Site, path: str = "/metrics", **headers: str) -> int:
    return (await site.get(path, headers)).status


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_health_checks_need_no_key(locked: Site, path: str) -> None:
    assert await status(locked, path) == 200
    assert await status(locked, path, Authorization="Bearer wrong") == 200


async def test_variants_need_no_key(locked: Site) -> None:
    await locked.store.inner.put(original_key(locked.upload_id), b"an original", content_type="image/jpeg")

    assert await status(locked, f"{locked.path}/small.jpg") == 200
    assert await status(locked, f"{locked.path}/small.jpeg") == 308
    assert await status(locked, f"{locked.path}/huge.jpg") == 404


@pytest.mark.parametrize(
    "path", ["/metrics", "/images", "/images/upload", "/", "/healthz/", "/healthz/x", "/HEALTHZ", "/nowhere"]
)
async def test_other_paths_need_a_key(locked: Site, path: str) -> None:
    answer = await locked.get(path)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="darkroom"'
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body)["code"] == "unauthorized"


@pytest.mark.parametrize("key", ["first key", "second"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_any_configured_key_is_accepted(locked: Site, scheme: str, key: str) -> None:
    assert await status(locked, Authorization=f"{scheme} {key}") == 200
    assert await status(locked, Authorization=f"{scheme}   {key}  ") == 200


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Bearer First key",
        "Bearer first key,second",
        "Bearer secon",
        "Bearer seconds",
        "Bearer \u00e9",
        "second",
        "Basic second",
        "Token second",
        "Bearersecond",
        "Bearer: second",
    ],
)
async def test_other_credentials_are_rejected(locked: Site, header: str) -> None:
    assert await status(locked, Authorization=header) == 401


async def test_key_in_the_query_is_rejected(locked: Site) -> None:
    assert (await locked.get("/metrics", query="key=second&access_token=second")).status == 401


async def test_response_does_not_reveal_the_keys(locked: Site) -> None:
    answer = await locked.get("/metrics", {"Authorization": "Bearer guess"})

    assert b"first key" not in answer.body
    assert b"second" not in answer.body
    assert b"guess" not in answer.body


async def test_no_key_is_needed_without_configured_keys(site: Site) -> None:
    assert await status(site) == 200
    assert await status(site, Authorization="Bearer whatever") == 200


async def test_non_ascii_key_sent_as_utf8_is_accepted(make_site: Callable[..., Site]) -> None:
    site = make_site(api_keys=("cl\u00e9",))

    assert await status(site, Authorization="Bearer " + "cl\u00e9".encode().decode("latin-1")) == 200
