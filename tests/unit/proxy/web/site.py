"""The proxy's app over a counting store and a fake render pool."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette

from proxy.model import UploadId, new_upload_id
from proxy.recipe import Recipes
from proxy.services import ProxyServices
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.telemetry.tracing import Tracing
from proxy.variants.derivation_pauses import DerivationPauses
from proxy.variants.invalidation.invalidation_bus import NoInvalidation
from proxy.variants.leases.lease_store import NoLeases
from proxy.variants.variant_service import VariantService
from proxy.web.app import EXCEPTION_HANDLERS, restrict_access, serve_variants
from proxy.web.edge_routes import edge_routes
from proxy.web.health import health_routes
from tests.asgi import Answer, ask
from tests.fakes import CountingStore, FakePool


@dataclass
class Site:
    """An app with its services and a client."""

    settings: Settings
    upload_id: UploadId = field(default_factory=new_upload_id)
    store: CountingStore = field(default_factory=CountingStore)
    pool: FakePool = field(default_factory=FakePool)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        self.recipes = Recipes(self.settings)
        self.variant_service = VariantService(
            self.store,
            self.pool,
            self.recipes,
            self.metrics,
            temporary=self.settings.temporary,
            timeout=self.settings.render_timeout,
            memory_cache_bytes=self.settings.memory_cache_mb << 20,
            missing_ttl=self.settings.missing_ttl,
        )
        self.origin = ProxyServices(
            self.settings,
            self.store,
            self.pool,
            NoLeases(),
            NoInvalidation(),
            DerivationPauses(self.recipes),
            self.variant_service,
            self.metrics,
            Tracing(),
        )
        routes = [
            *health_routes({"store": self.origin.check_store}, self.metrics),
            *edge_routes(self.settings),
        ]
        app = Starlette(routes=routes, exception_handlers=EXCEPTION_HANDLERS)
        self.app = serve_variants(self.origin, restrict_access(app, self.settings))

    @property
    def path(self) -> str:
        return f"/images/{self.upload_id}"

    async def get(
        self,
        name: str = "medium.webp",
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        query: str = "",
    ) -> Answer:
        """Requests a variant of the upload by name, or any absolute path."""
        path = name if name.startswith("/") else f"{self.path}/{name}"
        return await ask(self.app, path, method=method, headers=headers, query=query)
