"""Health checks and metrics."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from ingest.ingest_errors import CatalogUnavailable
from proxy.errors import StoreUnavailable
from proxy.settings import Settings
from proxy.telemetry import Metrics
from proxy.web import health
from proxy.web.app import EXCEPTION_HANDLERS, restrict_access
from proxy.web.health import health_routes
from tests.asgi import ask
from tests.unit.proxy.web.site import Site
from tests.virtual_time import VirtualTimeLoop


async def well() -> None:
    pass


async def store_away() -> None:
    raise StoreUnavailable("The bucket does not answer.")


async def database_away() -> None:
    raise CatalogUnavailable


def app_with(
    checks: dict[str, Callable[[], Awaitable[None]]], *collect: Callable[[], Awaitable[None]], keys: Sequence[str] = ()
) -> ASGIApp:
    app = Starlette(routes=[*health_routes(checks, Metrics(), *collect)], exception_handlers=EXCEPTION_HANDLERS)
    return restrict_access(app, Settings(api_keys=tuple(keys)))


@pytest.fixture
def always_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0)


async def test_healthz_checks_no_dependency(site: Site) -> None:
    site.store.fail("get", 100)

    answer = await site.get("/healthz")

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ok"})
    assert site.store.calls == []


async def test_readyz_is_200_with_an_empty_store(site: Site) -> None:
    answer = await site.get("/readyz")

    assert (answer.status, json.loads(answer.body)) == (200, {"status": "ready", "checks": {"store": "ok"}})
    [(method, key)] = site.store.calls
    assert method == "get"
    assert key.startswith("originals/")


@pytest.mark.usefixtures("always_fresh")
async def test_readyz_is_503_and_names_the_failed_check(site: Site) -> None:
    site.store.fail("get")

    answer = await site.get("/readyz")

    assert answer.status == 503
    assert json.loads(answer.body) == {"status": "not ready", "checks": {"store": "The fake store was told to fail."}}
    assert (await site.get("/readyz")).status == 200


async def test_readyz_names_every_check() -> None:
    answer = await ask(app_with({"store": store_away, "queue": well, "database": database_away}), "/readyz")

    assert answer.status == 503
    assert json.loads(answer.body)["checks"] == {
        "store": "The bucket does not answer.",
        "queue": "ok",
        "database": "Database unavailable",
    }


@pytest.mark.parametrize(
    ("headers", "checks"),
    [
        ({"Authorization": "Bearer secret-of-sixteen"}, {"store": "The bucket does not answer.", "queue": "ok"}),
        ({"Authorization": "Bearer other"}, {"store": "failed", "queue": "ok"}),
        ({}, {"store": "failed", "queue": "ok"}),
    ],
)
async def test_readyz_gives_reasons_only_with_a_key(headers: dict[str, str], checks: dict[str, str]) -> None:
    app = app_with({"store": store_away, "queue": well}, keys=["secret-of-sixteen"])

    answer = await ask(app, "/readyz", headers=headers)

    assert (answer.status, json.loads(answer.body)["checks"]) == (503, checks)


@pytest.mark.parametrize("client", [("192.0.2.1", 1), None])
async def test_readyz_without_keys_gives_reasons_only_on_the_same_machine(client: tuple[str, int] | None) -> None:
    app = app_with({"store": store_away})

    async def from_client(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "client": client}, receive, send)

    assert json.loads((await ask(from_client, "/readyz")).body)["checks"] == {"store": "failed"}


async def test_checks_run_once_a_second_for_all_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    now, runs = 1000.0, 0
    monkeypatch.setattr(health, "monotonic", lambda: now)

    async def check() -> None:
        nonlocal runs
        runs += 1
        await asyncio.sleep(0)
        if runs > 1:
            raise StoreUnavailable

    app = app_with({"store": check})
    first = await asyncio.gather(*(ask(app, "/readyz") for _ in range(20)))
    now += 0.99
    first.append(await ask(app, "/readyz"))
    assert ({answer.status for answer in first}, runs) == ({200}, 1)

    now += 0.01
    assert [(await ask(app, "/readyz")).status for _ in range(2)] == [503, 503]
    assert runs == 2


async def test_readiness_changes_are_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "_FRESH_SECONDS", 0.0)
    results = iter([None, StoreUnavailable(), StoreUnavailable(), None, None])

    async def check() -> None:
        if error := next(results):
            raise error

    app = app_with({"store": check})
    with capture_logs() as logs:
        assert [(await ask(app, "/readyz")).status for _ in range(5)] == [200, 503, 503, 200, 200]
    assert logs == [
        {"event": "readiness check failed", "log_level": "warning", "store": "Object store unavailable"},
        {"event": "readiness checks pass again", "log_level": "info"},
    ]


async def test_readyz_runs_checks_concurrently() -> None:
    first, second = asyncio.Event(), asyncio.Event()

    async def waits_for_second() -> None:
        first.set()
        await second.wait()

    async def waits_for_first() -> None:
        second.set()
        await first.wait()

    assert (await ask(app_with({"a": waits_for_second, "b": waits_for_first}), "/readyz")).status == 200


def test_readyz_check_times_out_after_three_seconds() -> None:
    async def hangs() -> None:
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        answer = runner.run(ask(app_with({"store": hangs, "queue": well}), "/readyz"))

    assert answer.status == 503
    assert json.loads(answer.body)["checks"] == {"store": "no answer within 3 seconds", "queue": "ok"}


async def test_metrics_are_exposed_if_a_gauge_fails() -> None:
    answer = await ask(app_with({}, store_away), "/metrics")

    assert answer.status == 200
    assert b"darkroom_render_waiting" in answer.body


async def test_metrics_response_has_the_documented_names_and_labels(site: Site) -> None:
    await site.get("medium@2x.webp")
    await site.get("medium@2x.webp")

    answer = await site.get("/metrics")

    lines = answer.body.decode().splitlines()
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert 'darkroom_derivations_total{format="webp",outcome="ok",size="medium@2x"} 1.0' in lines
    assert 'darkroom_variant_requests_total{tier="derived"} 1.0' in lines
    assert 'darkroom_variant_requests_total{tier="hot"} 1.0' in lines
    assert 'darkroom_stage_seconds_count{stage="decode"} 1.0' in lines
    assert "# TYPE darkroom_jobs gauge" in lines


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_routes_are_read_only(site: Site, path: str) -> None:
    answer = await site.get(path, method="POST")

    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD"}
    assert json.loads(answer.body)["code"] == "method_not_allowed"
