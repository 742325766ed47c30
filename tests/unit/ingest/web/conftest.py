"""The whole service as `darkroom serve` builds it, one for each test process. The worker starts only if a
test asks for it.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.routing import Route
from starlette.types import ASGIApp

from ingest.ingest_services import IngestServices, build_ingest_services
from ingest.web.ingest_app import ingest_app
from proxy.settings import Settings
from proxy.web.app import serve_variants
from tests.unit.ingest.examples import image_bytes
from tests.unit.ingest.leftovers import files_below, rows

OLD, NEW = "old-secret-0123456789abcdef012345678", "new-secret-0123456789abcdef012345678"
"""The UPLOAD_KEYS of `keyed` and `keyless`; new tickets are signed with the second."""

SHOP = "https://shop.example"
"""Their CORS_ORIGINS."""

# It is marked slow, and needs the dependency group ci.
collect_ignore = [] if find_spec("schemathesis") else ["test_openapi.py"]


@dataclass(frozen=True)
class Service:
    ingest: IngestServices
    app: ASGIApp

    @classmethod
    def of(cls, ingest: IngestServices) -> "Service":
        return cls(ingest, serve_variants(ingest.proxy, ingest_app(ingest, warm_up=False)))

    def configured(self, **changes: Any) -> "Service":
        """The same service, store and database with other settings; its pool keeps the original ones."""
        settings = Settings(**_arguments(self.ingest.proxy.settings) | changes)
        return self.made_of(proxy=replace(self.ingest.proxy, settings=settings))

    def made_of(self, **parts: Any) -> "Service":
        return Service.of(replace(self.ingest, **parts))

    def routes(self, *, variants: bool = True) -> list[Route]:
        """Ingest's routes. `variants`: of a server that also serves variants."""
        app: Any = ingest_app(self.ingest, warm_up=False, variants=variants)
        while not hasattr(app, "routes"):
            app = app._app
        assert all(isinstance(route, Route) for route in app.routes)
        return list(app.routes)

    def client(self, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers)

    async def upload(self, file: bytes, **headers: str) -> httpx.Response:
        async with self.client(headers) as client:
            return await client.post("/images/upload", files={"image": ("photo.jpg", file, "image/jpeg")})

    async def get(self, path: str, **headers: str) -> httpx.Response:
        async with self.client(headers) as client:
            return await client.get(path)

    async def delete(self, path: str) -> httpx.Response:
        async with self.client() as client:
            return await client.delete(path)

    async def holdings(self) -> tuple[object, ...]:
        """Returns stored objects, temporary files and rows."""
        settings = self.ingest.proxy.settings
        objects = [name for name in files_below(settings.data_dir / "objects") if name.count("/")]
        return objects, files_below(settings.temporary), await rows(self.ingest.database)


def _arguments(settings: Settings) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in settings.model_fields_set}
    return {("sizes" if name == "size_tables" else name): value for name, value in values.items()}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("data"),
        max_upload_mb=1,
        max_side=1000,
        render_processes=1,
        render_timeout=60,
        api_keys=(),
        cdn_url=None,
        public_url=None,
    )
    ingest = build_ingest_services(settings)
    await ingest.database.migrate()
    async with ingest.running():
        yield Service.of(ingest)


@pytest_asyncio.fixture(loop_scope="session")
async def created(service: Service) -> dict[str, object]:
    """The response to an upload."""
    document: dict[str, object] = (await service.upload(image_bytes())).json()
    return document


@pytest_asyncio.fixture(loop_scope="session")
async def keyed(service: Service) -> Service:
    """Accepts tickets, also from the pages of SHOP; other calls need a key."""
    keys = ("uploader:upload:fedcba9876543210", "0123456789abcdef")
    return service.configured(api_keys=keys, upload_keys=(NEW, OLD), cors_origins=(SHOP,))


@pytest_asyncio.fixture(loop_scope="session")
async def keyless(service: Service) -> Service:
    """Accepts tickets, also from the pages of SHOP; without API keys."""
    return service.configured(upload_keys=(NEW, OLD), cors_origins=(SHOP,))
