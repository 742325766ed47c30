"""`/openapi.json` agrees with the service: its calls, its problems and its responses."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from ingest.uploads.upload_fields import FIELDS
from ingest.web.openapi import describe
from proxy.settings import Settings
from proxy.web import health
from proxy.web.edge_routes import EDGE_PATHS
from proxy.web.problems import INTERNAL, METHOD_NOT_ALLOWED, STATUS, UNSATISFIABLE
from tests.conftest import ci_module
from tests.unit.ingest.examples import TYPES, image_bytes
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.fixture(autouse=True)
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0)


UNKNOWN = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
VARIANT, PRIVATE_VARIANT = "/images/{uploadId}/{size}.{format}", "/private/{uploadId}/{size}.{format}"
OPEN = {VARIANT, PRIVATE_VARIANT, *EDGE_PATHS, "/healthz", "/readyz", "/", "/docs", "/openapi.json", "/sizes"}
NEVER_SENT = {
    "refused",  # a base class
    "queue_unavailable",  # uploads and variants do not need the queue
}
CONFORMANCE = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
VERBS = {"get", "head", "post", "put", "patch", "delete", "options", "trace"}


def document(*, variants: bool = True, **settings: Any) -> dict[str, Any]:
    return describe(Settings(**settings), variants=variants)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method in item.keys() & VERBS:
            yield path, method.upper(), item[method]


def described(document: dict[str, Any]) -> dict[str, set[str]]:
    return {path: {verb.upper() for verb in item.keys() & VERBS} for path, item in document["paths"].items()}


def codes(document: dict[str, Any]) -> set[tuple[int, str]]:
    """Status and code of every problem in the document."""
    found = set()
    for _, _, operation in operations(document):
        for status, answer in operation["responses"].items():
            for exactly in (
                answer.get("content", {}).get("application/problem+json", {}).get("schema", {}).get("allOf", [])
            ):
                found |= {(int(status), code) for code in exactly.get("properties", {}).get("code", {}).get("enum", [])}
    return found


def routes(service: Service, *, variants: bool) -> dict[str, set[str]]:
    """The router's methods by path, without the pages' own files. The first route of a path counts."""
    calls = {
        route.path.replace("upload_id", "uploadId").replace("deletion_id", "deletionId"): (route.methods or set())
        - {"HEAD"}
        for route in reversed(service.routes(variants=variants))
    }
    return {path: verbs for path, verbs in calls.items() if not path.startswith(("/page/", "/docs/"))}


@pytest.mark.heavy
class TestDocument:
    @pytest.mark.slow
    async def test_document_is_valid(self) -> None:
        openapi = ci_module("schemathesis").openapi
        openapi.from_dict(document()).validate()
        openapi.from_dict(document(variants=False, api_keys=("first-first-first",))).validate()

    async def test_document_is_served_without_a_key(self, service: Service) -> None:
        locked = service.configured(api_keys=("first-first-first",))

        answer = await locked.get("/openapi.json")

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == describe(locked.ingest.proxy.settings, variants=True)

    @pytest.mark.parametrize("variants", [True, False])
    async def test_every_link_names_an_operation(self, variants: bool) -> None:
        made = document(variants=variants)
        text = str(made)
        names = [operation["operationId"] for _, _, operation in operations(made)]

        assert len(set(names)) == len(names)
        assert set(re.findall(r"#/components/schemas/(\w+)", text)) == made["components"]["schemas"].keys()
        assert set(re.findall(r"'links': {'(\w+)'", text)) <= set(names)
        links = made["paths"]["/images/upload"]["post"]["responses"]["201"]["links"]
        assert {link["operationId"] for link in links.values()} <= set(names)
        assert ("getVariant" in links) is variants

    @pytest.mark.parametrize("variants", [True, False])
    async def test_document_has_exactly_the_routed_calls(self, service: Service, variants: bool) -> None:
        served = {path: {"GET", "HEAD"} for path in (VARIANT, PRIVATE_VARIANT)} if variants else {}

        assert described(document(variants=variants)) == routes(service, variants=variants) | served

    async def test_document_has_every_problem_with_its_status(self) -> None:
        raised = {(status, code) for code, status in STATUS.items() if code not in NEVER_SENT}
        ours = {(kind.status, kind.code) for kind in (INTERNAL, METHOD_NOT_ALLOWED, UNSATISFIABLE)}

        # 422 for originals that were accepted under other settings or by another version; as uploads they are 400.
        assert codes(document()) == raised | ours | {(422, "unsupported_format")}

    async def test_servers_are_the_public_url_and_the_own_origin(self) -> None:
        def servers(**settings: str) -> list[str]:
            return [server["url"] for server in document(**settings)["servers"]]

        assert servers() == ["/"]
        assert servers(public_url="https://origin.test/media/", cdn_url="https://cdn.test") == [
            "https://origin.test/media",
            "./",
        ]

    async def test_limits_follow_the_settings(self) -> None:
        made = document(
            max_upload_mb=3, min_side=20, max_side=70, sizes={"tiny": {"width": 9, "height": 9}, "wide": {"width": 90}}
        )

        form = made["paths"]["/images/upload"]["post"]["requestBody"]["content"]["multipart/form-data"]
        _, size, format = made["paths"][VARIANT]["parameters"]
        assert (
            form["schema"]["properties"]["image"]["description"]
            == "At most 3 MiB, 20 to 70 pixels a side, once upright."
        )
        assert form["encoding"]["image"]["contentType"] == "image/jpeg, image/png, image/webp"
        assert size["schema"]["enum"] == ["tiny", "tiny@2x", "tiny@3x", "wide", "wide@2x", "wide@3x"]
        assert format["schema"]["enum"] == [*TYPES, "auto", "jpeg"]
        for kind in ("Created", "Upload"):
            urls = made["components"]["schemas"][kind]["properties"]["urls"]
            assert [*urls["properties"]] == ["tiny", "wide"]
            assert urls["required"] == ["tiny"]  # `wide` may repeat the original
            assert urls["properties"]["tiny"]["required"] == [*TYPES]

    @pytest.mark.parametrize(
        ("path", "method", "others"),
        [
            ("/images/upload", "post", {"image"}),
            ("/images/tickets", "post", {"maxBytes", "expiresIn"}),
            ("/images/{uploadId}", "patch", set()),
        ],
    )
    async def test_request_has_every_field_of_uploads(self, path: str, method: str, others: set[str]) -> None:
        [body] = document()["paths"][path][method]["requestBody"]["content"].values()

        assert body["schema"]["properties"].keys() == {*FIELDS, *others}

    async def test_formats_are_those_of_the_sizes(self) -> None:
        made = document(
            sizes={"icon": {"width": 9, "formats": ["png"]}, "page": {"width": 9, "formats": ["png", "webp"]}}
        )

        assert made["paths"][VARIANT]["parameters"][2]["schema"]["enum"] == ["png", "webp", "auto"]
        assert [*made["paths"][VARIANT]["get"]["responses"]["200"]["content"]] == ["image/png", "image/webp"]
        urls = made["components"]["schemas"]["Created"]["properties"]["urls"]["properties"]
        assert {name: each["required"] for name, each in urls.items()} == {"icon": ["png"], "page": ["png", "webp"]}

    async def test_document_marks_calls_that_need_a_key(self) -> None:
        locked, unlocked = document(api_keys=("first-first-first",)), document()

        assert locked["security"] == [{"bearer": []}]
        assert unlocked["security"] == [{}, {"bearer": []}]
        for made in (locked, unlocked):
            for path, _, operation in operations(made):
                open_to_all = path in OPEN
                assert (operation.get("security") == []) is open_to_all
                assert ("401" in operation["responses"]) is not open_to_all

    async def test_document_contains_no_secret(self) -> None:
        assert "open-sesame" not in str(
            document(api_keys=("open-sesame-open-sesame",), redis_url="redis://:open-sesame@cache")
        )


@pytest.mark.slow
class TestResponses:
    """Responses conform to the document, including required headers."""

    async def test_responses_about_an_upload_conform(self, service: Service) -> None:
        created = await service.upload(image_bytes())
        upload_id = created.json()["uploadId"]
        await agree(service, created, "/images/upload", 201)
        await agree(service, await service.upload(b"GIF89a"), "/images/upload", 400)
        await agree(service, await service.upload(image_bytes(20, 20)), "/images/upload", 422)
        await agree(service, await service.upload(image_bytes().ljust((1 << 20) + 1, b"\0")), "/images/upload", 413)
        await agree(service, await service.get("/images/upload"), "/images/upload", 405, "POST")
        await agree(service, await service.get("/images?limit=1"), "/images", 200)
        await agree(service, await service.get("/images?limit=one"), "/images", 400)
        for below in ("", "/status"):
            template = "/images/{uploadId}" + below
            await agree(service, await service.get(f"/images/{upload_id}{below}"), template, 200)
            await agree(service, await service.get(f"/images/{UNKNOWN}{below}"), template, 404)
        await agree(service, await service.delete(f"/images/{upload_id}"), "/images/{uploadId}", 204)
        await agree(service, await service.get(f"/images/{upload_id}/events"), "/images/{uploadId}/events", 404)

    @pytest.mark.parametrize(
        ("name", "headers", "status"),
        [
            ("small.webp", {}, 200),
            ("small@2x.avif", {}, 200),
            ("small.auto", {"accept": "image/webp"}, 200),
            ("small.jpg", {"range": "bytes=0-9"}, 206),
            ("small.auto", {"range": "bytes=0-9"}, 206),
            ("small.jpg", {"range": "bytes=999999-"}, 416),
            ("small.jpg", {"if-none-match": "*"}, 304),
            ("small.jpeg", {}, 308),
            ("huge.jpg", {}, 404),
        ],
    )
    async def test_responses_about_a_variant_conform(
        self, service: Service, name: str, headers: dict[str, str], status: int
    ) -> None:
        path = f"/images/{(await service.upload(image_bytes())).json()['uploadId']}/{name}"
        async with service.client(headers) as client:
            await agree(service, await client.get(path), VARIANT, status)
            if "range" not in headers:
                await agree(service, await client.head(path), VARIANT, status)

    async def test_responses_about_the_service_conform(self, service: Service) -> None:
        for path in ("/healthz", "/readyz", "/metrics", "/", "/docs", "/openapi.json", "/sizes"):
            await agree(service, await service.get(path), path, 200)

    async def test_responses_without_a_key_conform(self, service: Service) -> None:
        locked = service.configured(api_keys=("first-first-first",))

        await agree(locked, await locked.get("/images"), "/images", 401)

    async def test_responses_during_a_database_outage_conform(self, service: Service) -> None:
        await service.ingest.database.migrate("base")
        try:
            ready, listed = await service.get("/readyz"), await service.get("/images")
        finally:
            await service.ingest.database.migrate()

        await agree(service, ready, "/readyz", 503)
        await agree(service, listed, "/images", 503)


async def agree(service: Service, answer: httpx.Response, path: str, status: int, method: str | None = None) -> None:
    """Asserts the response's status and that it conforms to the served document."""
    assert answer.status_code == status
    checks = ci_module("schemathesis.specs.openapi.checks")
    made = ci_module("schemathesis").openapi.from_dict((await service.get("/openapi.json")).json())
    named = re.fullmatch(re.sub(r"\{(\w+)}", r"(?P<\1>[^/.]+)", path), answer.request.url.path)
    case = made[path][method or answer.request.method].Case(path_parameters=named.groupdict())
    answer.request = httpx.Request(
        answer.request.method, answer.request.url
    )  # its body was a stream that has been read
    case.validate_response(answer, checks=[getattr(checks, name) for name in CONFORMANCE])
