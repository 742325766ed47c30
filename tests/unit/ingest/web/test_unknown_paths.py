"""Unknown ids, paths and methods."""

import pytest

from tests.unit.ingest.web.conftest import Service
from tests.unit.ingest.web.problems import UNKNOWN, assert_problem

pytestmark = pytest.mark.asyncio(loop_scope="session")


class TestUnknown:
    @pytest.mark.parametrize("path", ["", "/status", "/events"])
    @pytest.mark.parametrize(
        "upload_id", [UNKNOWN, UNKNOWN.upper(), UNKNOWN[:-1], UNKNOWN.replace("-", ""), "uploads", "%2e%2e", "a%00b"]
    )
    async def test_unknown_id_is_404(self, service: Service, upload_id: str, path: str) -> None:
        await assert_problem(service, "GET", f"/images/{upload_id}{path}", 404, "not_found")

    async def test_upper_case_id_is_404(self, service: Service, created: dict[str, object]) -> None:
        upload_id = str(created["uploadId"]).upper()

        await assert_problem(service, "GET", f"/images/{upload_id}", 404, "not_found")
        await assert_problem(service, "DELETE", f"/images/{upload_id}", 404, "not_found")

    @pytest.mark.parametrize("path", ["/nothing", "/images/upload/more", f"/images/{UNKNOWN}/variants", "/Images"])
    async def test_unknown_path_is_404(self, service: Service, path: str) -> None:
        await assert_problem(service, "GET", path, 404, "not_found")

    @pytest.mark.parametrize("path", ["/images/", f"/images/{UNKNOWN}/", "/images/upload/", "/healthz/"])
    async def test_trailing_slash_is_404(self, service: Service, path: str) -> None:
        """A cached redirect would repeat the request's Host header to others."""
        locked = service.configured(api_keys=("first-first-first",))  # without keys, a foreign host is refused
        async with locked.client({"host": "evil.test", "authorization": "Bearer first-first-first"}) as client:
            answer = await client.get(path)

        assert answer.status_code == 404
        assert "location" not in answer.headers


class TestMethods:
    @pytest.mark.parametrize(
        ("method", "path", "allowed"),
        [
            ("PUT", "/images/upload", {"POST"}),
            ("GET", "/images/upload", {"POST"}),
            ("DELETE", "/images/upload", {"POST"}),
            ("POST", "/images", {"GET", "HEAD", "DELETE"}),
            ("DELETE", f"/images/deletions/{UNKNOWN}", {"GET", "HEAD"}),
            ("POST", f"/images/{UNKNOWN}/status", {"GET", "HEAD"}),
            ("DELETE", f"/images/{UNKNOWN}/events", {"GET", "HEAD"}),
            ("POST", f"/images/{UNKNOWN}/small.jpg", {"GET", "HEAD"}),
        ],
    )
    async def test_other_method_is_405_with_allow(
        self, service: Service, method: str, path: str, allowed: set[str]
    ) -> None:
        await self.assert_allowed(service, method, path, allowed)

    @pytest.mark.parametrize("method", ["PUT", "OPTIONS"])
    async def test_405_names_all_methods_of_a_path(self, service: Service, method: str) -> None:
        await self.assert_allowed(service, method, f"/images/{UNKNOWN}", {"GET", "HEAD", "PATCH", "DELETE"})

    async def assert_allowed(self, service: Service, method: str, path: str, allowed: set[str]) -> None:
        async with service.client() as client:
            answer = await client.request(method, path)

        assert answer.status_code == 405
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["code"] == "method_not_allowed"
        assert {name.strip() for name in answer.headers["allow"].split(",")} == allowed
