"""Without API keys, requests under foreign host names are refused (DNS rebinding)."""

import json
from collections.abc import Callable

import pytest

from tests.unit.proxy.web.site import Site

OWN = [
    "localhost",
    "localhost:8000",
    "LocalHost:8000",
    "127.0.0.1",
    "127.0.0.1:8000",
    "127.0.0.1:",
    "127.8.9.10:1",
    "[::1]",
    "[::1]:8000",
]
FOREIGN = [
    "",
    ":8000",
    "evil.test",
    "evil.test:8000",
    "localhost.evil.test",
    "localhost.",
    "evil.localhost",
    "127.0.0.1.evil.test",
    "localhost@evil.test",
    "evil.test@localhost",
    "localhost, evil.test",
    "127.1",
    "0.0.0.0",
    "10.0.0.1",
    "192.168.0.1:8000",
    "[::]",
    "[::1",
    "::1",
    "[fe80::1]:8000",
    "localhost:8000:1",
]


async def ask(site: Site, host: str, path: str = "/metrics") -> int:
    return (await site.get(path, {"Host": host})).status


@pytest.mark.parametrize("host", OWN)
async def test_own_host_is_accepted(site: Site, host: str) -> None:
    assert await ask(site, host) == 200


@pytest.mark.parametrize("host", FOREIGN)
async def test_foreign_host_is_421_and_names_the_setting(site: Site, host: str) -> None:
    answer = await site.get("/metrics", {"Host": host})

    document = json.loads(answer.body)
    assert (answer.status, document["code"]) == (421, "misdirected")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "PUBLIC_URL" in document["detail"]
    assert "API_KEYS" in document["detail"]
    assert "evil" not in answer.body.decode()


async def test_host_of_public_url_is_accepted(make_site: Callable[..., Site]) -> None:
    site = make_site(public_url="https://Pictures.test:8443/media")

    assert await ask(site, "pictures.test") == 200
    assert await ask(site, "pictures.TEST:8443") == 200
    assert await ask(site, "localhost:8000") == 200
    assert await ask(site, "www.pictures.test") == 421


async def test_address_of_public_url_is_accepted(make_site: Callable[..., Site]) -> None:
    assert await ask(make_site(public_url="http://[fd00::1]:8000"), "[fd00::1]:8000") == 200


@pytest.mark.parametrize("path", ["/", "/images", "/images/upload", "/nowhere", "/metrics", "/healthz/"])
async def test_every_other_path_is_checked(site: Site, path: str) -> None:
    for method in ("GET", "POST", "DELETE", "OPTIONS"):
        assert (await site.get(path, {"Host": "evil.test"}, method=method)).status == 421, method


async def test_variants_are_public_under_every_host(site: Site) -> None:
    for name, status in {"small.jpg": 200, "small.jpeg": 308, "huge.jpg": 404}.items():
        assert await ask(site, "cdn.test", f"{site.path}/{name}") == status


async def test_health_checks_are_open_but_give_no_reasons(site: Site) -> None:
    site.store.fail("get", 100)

    assert await ask(site, "10.0.0.1:8000", "/healthz") == 200
    readiness = await site.get("/readyz", {"Host": "evil.test"})
    assert (readiness.status, json.loads(readiness.body)["checks"]) == (503, {"store": "failed"})


async def test_keys_replace_the_check(make_site: Callable[..., Site]) -> None:
    site = make_site(api_keys=("first-first-first",))

    answer = await site.get("/metrics", {"Host": "evil.test", "Authorization": "Bearer first-first-first"})

    assert answer.status == 200
