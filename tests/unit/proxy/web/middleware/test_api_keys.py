"""API keys: who needs one, and who does not."""

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
async def test_the_health_checks_are_open(locked: Site, path: str) -> None:
    assert await status(locked, path) == 200
    assert await status(locked, path, Authorization="Bearer wrong") == 200


async def test_variants_are_open(locked: Site) -> None:
    await locked.store.inner.put(original_key(locked.upload_id), b"an original", content_type="image/jpeg")

    assert await status(locked, f"{locked.path}/small.jpg") == 200
    assert await status(locked, f"{locked.path}/small.jpeg") == 308
    assert await status(locked, f"{locked.path}/huge.jpg") == 404


@pytest.mark.parametrize(
    "path", ["/metrics", "/images", "/images/upload", "/", "/healthz/", "/healthz/x", "/HEALTHZ", "/nowhere"]
)
async def test_everything_else_is_locked(locked: Site, path: str) -> None:
    answer = await locked.get(path)

    assert answer.status == 401
    assert answer.headers["www-authenticate"] == 'Bearer realm="darkroom"'
    assert answer.headers["cache-control"] == "no-store"
    assert json.loads(answer.body)["code"] == "unauthorized"


@pytest.mark.parametrize("key", ["first key", "second"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_any_of_the_keys_opens(locked: Site, scheme: str, key: str) -> None:
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
async def test_nothing_else_does(locked: Site, header: str) -> None:
    assert await status(locked, Authorization=header) == 401


async def test_a_key_in_the_query_opens_nothing(locked: Site) -> None:
    assert (await locked.get("/metrics", query="key=second&access_token=second")).status == 401


async def test_the_answer_does_not_tell_the_keys(locked: Site) -> None:
    answer = await locked.get("/metrics", {"Authorization": "Bearer guess"})

    assert b"first key" not in answer.body
    assert b"second" not in answer.body
    assert b"guess" not in answer.body


async def test_without_keys_nothing_is_locked(site: Site) -> None:
    assert await status(site) == 200
    assert await status(site, Authorization="Bearer whatever") == 200


async def test_a_key_with_an_accent_opens_as_it_is_sent_by_curl(make_site: Callable[..., Site]) -> None:
    site = make_site(api_keys=("cl\u00e9",))

    assert await status(site, Authorization="Bearer " + "cl\u00e9".encode().decode("latin-1")) == 200
