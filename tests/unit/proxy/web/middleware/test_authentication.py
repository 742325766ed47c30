"""API keys: which paths need one, and which are accepted."""

import hmac
import json
from collections.abc import Callable

import pytest

from proxy.keys import original_key
from tests.unit.proxy.web.site import Site

SECOND = "second-second-second"


@pytest.fixture
def locked(make_site: Callable[..., Site]) -> Site:
    return make_site(api_keys=("first key of sixteen", SECOND))


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


@pytest.mark.parametrize("key", ["first key of sixteen", SECOND])
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
        "Bearer First key of sixteen",
        f"Bearer first key of sixteen,{SECOND}",
        f"Bearer {SECOND[:-1]}",
        f"Bearer {SECOND}s",
        "Bearer \u00e9",
        SECOND,
        f"Basic {SECOND}",
        f"Token {SECOND}",
        f"Bearer{SECOND}",
        f"Bearer: {SECOND}",
    ],
)
async def test_other_credentials_are_rejected(locked: Site, header: str) -> None:
    assert await status(locked, Authorization=header) == 401


@pytest.mark.parametrize("given", ["first key of sixteen", SECOND, "first key of sixteem", "x", "x" * 20_000, ""])
async def test_every_key_is_compared_for_any_token(locked: Site, monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    """Neither the place of the right key nor a close guess changes the work, which `compare_digest` does."""
    compared: list[bytes] = []
    compare = hmac.compare_digest

    def recorded(token: bytes, secret: bytes) -> bool:
        compared.append(secret)
        return compare(token, secret)

    monkeypatch.setattr(hmac, "compare_digest", recorded)
    await status(locked, Authorization=f"Bearer {given}")

    assert compared == [b"first key of sixteen", SECOND.encode()]


async def test_key_in_the_query_is_rejected(locked: Site) -> None:
    assert (await locked.get("/metrics", query=f"key={SECOND}&access_token={SECOND}")).status == 401


async def test_response_does_not_reveal_the_keys(locked: Site) -> None:
    answer = await locked.get("/metrics", {"Authorization": "Bearer guess"})

    assert b"first key of sixteen" not in answer.body
    assert SECOND.encode() not in answer.body
    assert b"guess" not in answer.body


async def test_no_key_is_needed_without_configured_keys(site: Site) -> None:
    assert await status(site) == 200
    assert await status(site, Authorization="Bearer whatever") == 200


async def test_non_ascii_key_sent_as_utf8_is_accepted(make_site: Callable[..., Site]) -> None:
    site = make_site(api_keys=("cl\u00e9" * 8,))

    assert await status(site, Authorization="Bearer " + ("cl\u00e9" * 8).encode().decode("latin-1")) == 200


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [
        ("read", ["GET", "HEAD"]),
        ("upload", ["POST"]),
        ("delete", ["DELETE"]),
        ("upload+read", ["GET", "HEAD", "POST"]),
        ("admin", ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"]),
    ],
)
async def test_key_allows_the_methods_of_its_scopes(
    make_site: Callable[..., Site], scopes: str, allowed: list[str]
) -> None:
    site = make_site(api_keys=(f"shop:{scopes}:{SECOND}", "other:admin:another-another-another"))

    for method in ("GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"):
        answer = await site.get("/images", {"Authorization": f"Bearer {SECOND}"}, method=method)
        assert (answer.status != 403) is (method in allowed), method


async def test_missing_scope_is_named(make_site: Callable[..., Site]) -> None:
    answer = await make_site(api_keys=(f"shop:upload+delete:{SECOND}",)).get(
        "/metrics", {"Authorization": f"Bearer {SECOND}"}
    )

    problem = json.loads(answer.body)
    assert (answer.status, problem["code"]) == (403, "forbidden")
    assert problem["detail"] == "The key shop lacks the scope `read`. Use another key."
    assert SECOND.encode() not in answer.body
