"""Each variant has one spelling. Others are 404, or a redirect for `.jpeg`, without a store call."""

import json

import pytest

from proxy.web.variant_routes import VariantMiddleware
from tests.unit.proxy.web.site import Site

UPPER = "8F14E45F-CEEA-467F-A8B3-2F1C0F5B8E2A"
LOWER = UPPER.lower()


class TestNotFound:
    @pytest.mark.promise("C1")
    @pytest.mark.parametrize(
        "upload_part",
        [
            "..",
            ".",
            "%2e%2e",
            "%2E%2E",
            "..%2f",
            "%2f",
            "%5c",
            "..%5c..",
            "%00",
            f"{LOWER}%00",
            "%0d%0a",
            f"{LOWER}%0d%0aX-Evil:1",
            f"{LOWER}%0a",
            "%c0%ae%c0%ae",
            UPPER,
            f"{{{LOWER}}}",
            f"urn:uuid:{LOWER}",
            LOWER.replace("-", ""),
            LOWER.replace("8", "%d9%a8"),  # ARABIC-INDIC DIGIT EIGHT
            LOWER.replace("8", "%38", 1),  # an escaped 8 is another spelling
            f"{LOWER}.",
            f"{LOWER}%20",
            f" {LOWER}",
            f"{LOWER}+",
            f"a%2f{LOWER}",
            f"{LOWER}%2f..%2f{LOWER}",
            "a" * 10_000,
            "*",
            "null",
            "0",
        ],
    )
    async def test_misspelt_id_is_404_without_a_look_up(self, site: Site, upload_part: str) -> None:
        answer = await site.get(f"/images/{upload_part}/medium.webp")

        assert answer.status == 404
        assert site.store.calls == []
        assert site.pool.priorities == []
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.promise("C2")
    @pytest.mark.parametrize(
        "name",
        [
            "unknown.jpg",
            "-1.jpg",
            "0.jpg",
            "01.jpg",
            "+1.jpg",
            "1e3.jpg",
            "9999999999999.jpg",
            "%D9%A3.jpg",
            "100x100.jpg",
            "Medium.jpg",
            "medium%20.jpg",
            "medium.jpg%20",
            "medium.jpg%00",
            "medium.jpg%0a",
            "medium.jpg%2f",
            "..%2fmedium.jpg",
            "medium@1x.jpg",
            "medium@4x.jpg",
            "medium@2X.jpg",
            "medium%402x.jpg",
            "%6dedium.jpg",
            "medium.j%70g",
            "medium.svg",
            "medium.html",
            "medium.php",
            "medium.gif",
            "medium.JPG",
            "medium.JPEG",
            "medium.webp.html",
            "medium.",
            ".jpg",
            ".",
            "..",
            "medium..jpg",
            "medium.jpg.",
            "medium.jpg;a=b",
            "x" * 10_000 + ".jpg",
        ],
    )
    async def test_misspelt_size_or_format_is_404_without_a_look_up(self, site: Site, name: str) -> None:
        answer = await site.get(f"{site.path}/{name}")

        assert answer.status == 404
        assert site.store.calls == []
        assert site.pool.priorities == []
        assert answer.headers["cache-control"] == "public, max-age=60"

    @pytest.mark.promise("C1")
    @pytest.mark.parametrize(
        "path",
        [
            "/images/{}/medium",
            "/images/{}/medium%2ejpg",
            "/images/{}/medium.jpg/",
            "/images/{}//medium.jpg",
            "//images/{}/medium.jpg",
            "/images/{}%2fmedium.jpg",
            "/Images/{}/medium.jpg",
            "/image/{}/medium.jpg",
            "/images//medium.jpg",
            "/images/{}/",
            "/images/{}/medium/webp",
            "/x/images/{}/medium.jpg",
            "/images/../images/{}/medium.jpg",
            "/originals/{}",
            "/originals/{}.jpg",
            "/images/{}/../../originals/{}",
            "/images/..%2foriginals%2f{}/medium.jpg",
            "/",
        ],
    )
    async def test_other_paths_serve_no_variant_or_original(self, site: Site, path: str) -> None:
        answer = await site.get(path.replace("{}", site.upload_id))

        assert answer.status == 404
        assert site.store.calls == []
        assert answer.headers["content-type"] == "application/problem+json"

    @pytest.mark.promise("C2")
    @pytest.mark.parametrize("name", ["size{}.jpg", "{}x{}.webp", "medium.format{}", "{}", "medium@{}x.png"])
    async def test_many_unknown_variants_cost_no_look_up(self, site: Site, name: str) -> None:
        answers = [await site.get(name.replace("{}", str(number + 4))) for number in range(200)]

        assert {answer.status for answer in answers} == {404}
        assert site.store.calls == []
        assert site.pool.priorities == []

    @pytest.mark.promise("C2")
    async def test_long_paths_are_not_cached(self, site: Site) -> None:
        variants = site.app
        assert isinstance(variants, VariantMiddleware)
        for number in range(100):
            await site.get(f"/images/{number}{'x' * 30_000}/medium.jpg")

        assert variants._parse_cached.cache_info().currsize == 0

    async def test_not_found_explains_the_path(self, site: Site) -> None:
        problem = json.loads((await site.get("huge.jpg")).body)

        assert problem.pop("detail").startswith(
            "Variants are /images/{uploadId}/{size}.{format}, "
            "those of private uploads /private/{uploadId}/{size}.{format}: "
        )
        assert problem == {
            "type": "urn:darkroom:problem:not_found",
            "title": "No such size or format",
            "status": 404,
            "code": "not_found",
        }

    async def test_not_found_does_not_echo_the_path(self, site: Site) -> None:
        answer = await site.get("<script>.jpg")

        assert b"script" not in answer.body

    async def test_query_does_not_name_a_variant(self, site: Site) -> None:
        assert (await site.get("huge.jpg", query="size=medium.jpg")).status == 404
        assert site.store.calls == []


class TestJpeg:
    @pytest.mark.parametrize(
        ("name", "canonical"),
        [("medium.jpeg", "medium.jpg"), ("small@2x.jpeg", "small@2x.jpg"), ("large@3x.jpeg", "large@3x.jpg")],
    )
    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    async def test_jpeg_redirects_permanently_to_jpg(self, site: Site, method: str, name: str, canonical: str) -> None:
        """The target is relative: the redirect is right below any path of `PUBLIC_URL` and `CDN_URL`."""
        answer = await site.get(name, method=method)

        assert answer.status == 308
        assert answer.headers["location"] == canonical
        assert site.store.calls == []

    async def test_redirect_target_ignores_the_host_and_query(self, site: Site) -> None:
        headers = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "gopher"}

        answer = await site.get("medium.jpeg", headers=headers, query="next=//evil.test")

        assert answer.headers["location"] == "medium.jpg"

    @pytest.mark.parametrize(
        "name",
        [
            "unknown.jpeg",
            "medium@4x.jpeg",
            "medium.JPEG",
            ".jpeg",
            "medium.jpeg.jpeg",
            "medium.jpeg.jpg",
            "medium.jpeg%0a",
        ],
    )
    async def test_jpeg_of_unknown_size_is_404(self, site: Site, name: str) -> None:
        answer = await site.get(name)

        assert answer.status == 404
        assert "location" not in answer.headers
        assert site.store.calls == []

    async def test_jpeg_of_misspelt_id_is_404(self, site: Site) -> None:
        assert (await site.get(f"/images/{UPPER}/medium.jpeg")).status == 404


class TestMethods:
    @pytest.mark.parametrize(
        "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "PURGE"]
    )
    @pytest.mark.parametrize("name", ["medium.jpg", "medium.jpeg", "unknown.jpg"])
    async def test_other_methods_are_405_with_allow(self, site: Site, method: str, name: str) -> None:
        answer = await site.get(name, method=method)

        assert answer.status == 405
        assert answer.headers["allow"] == "GET, HEAD"
        assert answer.headers["cache-control"] == "no-store"
        assert json.loads(answer.body)["code"] == "method_not_allowed"
        assert site.store.calls == []
