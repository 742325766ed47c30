"""Variants of private uploads: access to them, how long caches keep them, and what `/private/verify` answers."""

from collections.abc import Callable
from time import time

import pytest

from darkroom import sign_token
from proxy.keys import original_key, variant_key
from proxy.model import Visibility
from tests.unit.proxy.web.site import Site

KEY, OLD, SECRET = "a key for tokens of 32 characters".replace(" ", "-"), "o" * 32, "e" * 32
DAY = 86_400


@pytest.fixture
async def private(make_site: Callable[..., Site]) -> Site:
    return await with_upload(make_site(signing_keys=f"{KEY},{OLD}"))


@pytest.fixture
async def behind_edge(make_site: Callable[..., Site]) -> Site:
    return await with_upload(make_site(signing_keys=KEY, edge_secret=SECRET))


async def with_upload(site: Site, visibility: str = "private") -> Site:
    metadata = {"visibility": visibility}
    await site.store.inner.put(original_key(site.upload_id), b"x", content_type="image/jpeg", metadata=metadata)
    return site


def path_of(site: Site, name: str = "medium.webp") -> str:
    return f"/private/{site.upload_id}/{name}"


def token(site: Site, seconds: float = 1000.9, key: str = KEY) -> str:
    return f"token={sign_token(site.upload_id, key, expires=int(time() + seconds))}"


class TestAccess:
    async def test_token_opens_every_variant_of_its_upload(self, private: Site) -> None:
        query = token(private)
        for name in ("medium.webp", "small@2x.jpg", "large.auto"):
            answer = await private.get(path_of(private, name), query=query)
            assert (answer.status, answer.headers["cache-status"]) == (200, "darkroom; fwd=miss; stored")
            assert answer.headers["access-control-allow-origin"] == "*"

    async def test_old_key_still_verifies(self, private: Site) -> None:
        assert (await private.get(path_of(private), query=token(private, key=OLD))).status == 200

    @pytest.mark.parametrize("query", ["", "token=", "token=v1.9999999999.AAAA", "expired", "twice", "other upload"])
    @pytest.mark.parametrize("name", ["medium.webp", "medium.auto", "medium.jpeg"])
    async def test_without_a_valid_token_nothing_is_looked_up(self, private: Site, name: str, query: str) -> None:
        await private.get(path_of(private), query=token(private))  # now in memory and in the store
        await private.variant_service.drain()
        private.store.calls.clear()
        other = Site(private.settings)
        made = {
            "expired": token(private, -1),
            "twice": f"{token(private)}&{token(private)}",
            "other upload": token(other),
        }

        answer = await private.get(path_of(private, name), query=made.get(query, query))

        assert (answer.status, answer.headers["cache-control"]) == (403, "no-store")
        assert answer.headers["content-type"] == "application/problem+json"
        assert b'"code": "forbidden"' in answer.body
        assert private.store.calls == []
        assert "location" not in answer.headers

    async def test_public_path_of_a_private_upload_is_404_with_any_token(self, private: Site) -> None:
        await private.get(path_of(private), query=token(private))
        await private.variant_service.drain()
        for query in ("", token(private)):
            answer = await private.get(query=query)
            assert (answer.status, answer.headers["cache-control"]) == (404, "public, max-age=60")

    async def test_private_path_of_a_public_upload_is_404(self, make_site: Callable[..., Site]) -> None:
        site = await with_upload(make_site(signing_keys=KEY), "public")
        assert (await site.get()).status == 200

        answer = await site.get(path_of(site), query=token(site))

        assert (answer.status, answer.headers["cache-control"]) == (404, "no-store")

    async def test_refusal_at_one_path_is_not_remembered_for_the_other(self, private: Site) -> None:
        assert (await private.get()).status == 404
        assert (await private.get(path_of(private), query=token(private))).status == 200

    async def test_unreadable_visibility_is_private(self, make_site: Callable[..., Site]) -> None:
        site = await with_upload(make_site(signing_keys=KEY), "secret")
        assert (await site.get()).status == 404
        assert (await site.get(path_of(site), query=token(site))).status == 200

    async def test_without_keys_no_private_variant_is_served(self, make_site: Callable[..., Site]) -> None:
        site = await with_upload(make_site())
        assert (await site.get(path_of(site), query=token(site))).status == 403


class TestCaching:
    @pytest.mark.parametrize(("seconds", "least"), [(1000.9, 995), (DAY + 1000, DAY), (30 * DAY, DAY)])
    async def test_browsers_keep_a_variant_until_the_token_expires_but_no_more_than_a_day(
        self, private: Site, seconds: float, least: int
    ) -> None:
        answer = await private.get(path_of(private), query=token(private, seconds))

        kind, _, age = answer.headers["cache-control"].partition(", max-age=")
        assert kind == "private"
        assert least <= int(age) <= min(seconds, DAY)

    async def test_conditional_and_range_requests_are_private_too(self, private: Site) -> None:
        query = token(private)
        etag = (await private.get(path_of(private), query=query)).headers["etag"]
        for headers, status in (({"if-none-match": etag}, 304), ({"range": "bytes=0-1"}, 206)):
            answer = await private.get(path_of(private), headers, query=query)
            assert (answer.status, answer.headers["cache-control"].split(",")[0]) == (status, "private")

    async def test_unsatisfiable_range_is_not_cached(self, private: Site) -> None:
        answer = await private.get(path_of(private), {"range": "bytes=999999-"}, query=token(private))
        assert (answer.status, answer.headers["cache-control"]) == (416, "no-store")

    async def test_jpeg_redirects_with_the_token_alone(self, private: Site) -> None:
        query = token(private)
        answer = await private.get(path_of(private, "medium.jpeg"), query=f"{query}&other=1")
        assert (answer.status, answer.headers["location"]) == (308, f"medium.jpg?{query}")
        assert answer.headers["cache-control"].startswith("private, max-age=")

    async def test_stored_object_may_be_kept_by_browsers_alone(self, private: Site) -> None:
        await private.get(path_of(private), query=token(private))
        await private.variant_service.drain()

        variant = private.settings.sizes.parse("medium.webp", Visibility.PRIVATE)
        assert variant is not None
        stored = await private.store.inner.head(variant_key(private.upload_id, variant))
        assert (stored.key, stored.cache_control) == (path_of(private)[1:], f"private, max-age={DAY}")

    async def test_hits_without_the_application_are_public_ones_only(self, private: Site) -> None:
        await private.get(path_of(private), query=token(private))
        assert private.app.find_hit(path_of(private).encode(), None) is None


class TestEdgeSecret:
    async def test_edge_needs_no_token(self, behind_edge: Site) -> None:
        answer = await behind_edge.get(path_of(behind_edge), {"x-edge-secret": SECRET})
        assert (answer.status, answer.headers["cache-control"]) == (200, f"private, max-age={DAY}")

    @pytest.mark.parametrize("headers", [{}, {"x-edge-secret": ""}, {"x-edge-secret": SECRET[:-1] + "f"}])
    async def test_token_does_not_pass_the_edge_by(self, behind_edge: Site, headers: dict[str, str]) -> None:
        answer = await behind_edge.get(path_of(behind_edge), headers, query=token(behind_edge))
        assert (answer.status, behind_edge.store.calls) == (403, [])

    async def test_wrong_token_is_refused_from_the_edge_too(self, behind_edge: Site) -> None:
        answer = await behind_edge.get(path_of(behind_edge), {"x-edge-secret": SECRET}, query=token(behind_edge, -1))
        assert answer.status == 403

    async def test_public_variants_need_no_secret(self, make_site: Callable[..., Site]) -> None:
        site = await with_upload(make_site(edge_secret=SECRET), "public")
        assert (await site.get()).status == 200


class TestVerify:
    async def test_valid_token_is_204_with_the_caching_of_the_variant(self, private: Site) -> None:
        answer = await private.get("/private/verify", {"x-original-uri": f"{path_of(private)}?a=1&{token(private)}"})

        assert (answer.status, answer.body, answer.headers["cache-control"]) == (204, b"", "no-store")
        kind, _, age = answer.headers["x-variant-cache-control"].partition(", max-age=")
        assert kind == "private"
        assert 995 <= int(age) <= 1000
        assert private.store.calls == []

    async def test_key_for_the_api_is_not_needed(self, make_site: Callable[..., Site]) -> None:
        site = make_site(signing_keys=KEY, api_keys="k" * 32)
        assert (await site.get("/private/verify", {"x-original-uri": f"{path_of(site)}?{token(site)}"})).status == 204

    @pytest.mark.parametrize(
        "uri", ["", "{path}", "{path}?{expired}", "/images/{id}/medium.webp?{token}", "/private/x/medium.webp?{token}"]
    )
    async def test_anything_else_is_403(self, private: Site, uri: str) -> None:
        given = uri.format(
            path=path_of(private), expired=token(private, -1), token=token(private), id=private.upload_id
        )
        answer = await private.get("/private/verify", {"x-original-uri": given})
        assert (answer.status, answer.headers["cache-control"]) == (403, "no-store")
        assert private.store.calls == []
