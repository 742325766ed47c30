"""Commands that run until stopped: the servers and the worker."""

import shlex
from collections.abc import Callable
from contextlib import nullcontext, suppress
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ingest.cli.console import load, out, require_folder, run, stop
from ingest.cli.help import examples

if TYPE_CHECKING:
    from socket import socket

    from proxy.settings import Settings


class Role(StrEnum):
    ALL = "all"
    PROXY = "proxy"
    INGEST = "ingest"


_FACTORIES = {
    Role.ALL: "ingest.web.ingest_app:create_app",
    Role.PROXY: "proxy.web.app:create_app",
    Role.INGEST: "ingest.web.ingest_app:create_ingest_app",
}


@examples("darkroom serve --port 8080 --workers 2", "darkroom serve --role proxy")
def serve(
    host: Annotated[str, typer.Option(help="Address to bind; other than loopback needs API_KEYS.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, envvar="PORT", help="Port to bind.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="Server processes.")] = 1,
    role: Annotated[Role, typer.Option(help="Variants, uploads and jobs, or both.")] = Role.ALL,
) -> None:
    """Start the service."""
    settings = load(long_running=True, rendering=True, database=role is not Role.PROXY, host=host)
    from proxy.settings import SettingsError, share_memory, share_metrics

    try:
        if workers > 1:
            share_memory(settings, workers)
    except SettingsError as error:
        stop(str(error), code=2)
    listener = _bind(host, port)  # before anything else: another server may be running on the same data
    require_folder(settings)
    if settings.watermarks or settings.render_sandbox == "required":
        from proxy.services import try_render_process

        # The server itself could only fail to start (1), which supervisors such as systemd repeat.
        run(try_render_process(settings), starts_server=True)
    if role is not Role.PROXY:
        from ingest.ingest_services import prepare_start

        run(prepare_start(settings), starts_server=True)
    announce = partial(_announce, settings, host, port, role)
    try:
        with share_metrics() if workers > 1 else nullcontext():
            _serve(listener, workers, role, settings.download_min_rate, announce)
    except SystemExit as error:  # uvicorn printed the reason; translate its exit code
        raise typer.Exit(1 if error.code else 0) from None


def _bind(host: str, port: int) -> "socket":
    """Reserves the port; uvicorn listens later. Exits with 1 if that is not possible."""
    import errno
    import socket

    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        option = "--port" if error.errno in (errno.EADDRINUSE, errno.EACCES) else "--host"
        stop(f"Port {port} of {host} cannot be used: {error.strerror}. Choose another with {option}.")
    return listener


def _serve(listener: "socket", workers: int, role: Role, least_rate: int, announce: Callable[[], None]) -> None:
    """Serves on `listener` until a signal stops it.

    `least_rate`: DOWNLOAD_MIN_RATE, in bytes a second. `announce`: called when the server answers; with several
    processes, when all of them do.
    """
    import signal
    import sys

    import uvicorn
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    from proxy.rendering import sandbox
    from proxy.web.bounded_http import bounded_http
    from proxy.web.variant_http import variant_http

    config = uvicorn.Config(
        _FACTORIES[role],
        factory=True,
        workers=workers,
        http=(bounded_http if role is Role.INGEST else variant_http)(least_rate),
        ws="none",
        loop="uvloop",
        log_config=None,  # `configure_logging` does it
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,  # longer than nginx and CloudFront, so that they close connections first
        timeout_graceful_shutdown=30,
    )
    if workers > 1:
        sandbox.hide_memory()  # each server process does this too
        listener.set_inheritable(True)

        class Supervisor(Multiprocess):
            announced = False

            def keep_subprocess_alive(self) -> None:
                """Is called every half second."""
                super().keep_subprocess_alive()
                if not self.announced and all(process.is_ready() for process in self.processes):
                    self.announced = True
                    announce()

        supervisor = Supervisor(config, sockets=[listener])
        supervisor.run()
        if any(process.exitcode == STARTUP_FAILURE for process in supervisor.processes):
            raise SystemExit(STARTUP_FAILURE)
        return

    class Server(uvicorn.Server):
        async def startup(self, sockets: "list[socket] | None" = None) -> None:
            await super().startup(sockets)
            announce()

    server = Server(config)
    # From here on SIGTERM may find threads and render processes: the interpreter ends in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with suppress(KeyboardInterrupt):  # uvicorn repeats the signal after its shutdown
        server.run(sockets=[listener])
    if not server.started:
        raise SystemExit(1)


@examples("darkroom worker --concurrency 2 --port 9100")
def worker(
    concurrency: Annotated[int, typer.Option(min=1, help="Jobs at a time; each keeps one render process busy.")] = 1,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Answer /healthz, /readyz and /metrics here.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address for --port; other than loopback needs API_KEYS.")] = "127.0.0.1",
) -> None:
    """Warm up uploads as they arrive.

    Runs until SIGTERM, then finishes its jobs or returns them to the queue.
    """
    settings = load(long_running=True, rendering=True, host=host if port else None)
    listener = _bind(host, port) if port else None
    require_folder(settings)
    run(_work(settings, concurrency, listener))


async def _work(settings: "Settings", concurrency: int, listener: "socket | None") -> None:
    """Runs a worker until SIGTERM or SIGINT, then finishes its jobs or returns them to the queue.

    `listener`: for health checks.
    """
    import asyncio
    from signal import SIGINT, SIGTERM

    import structlog

    from ingest.ingest_services import Access, check_redis, open_services
    from ingest.web.readiness import serve_health
    from proxy.settings import describe_connections

    task = asyncio.current_task()
    assert task is not None
    for signal in (SIGTERM, SIGINT):
        asyncio.get_running_loop().add_signal_handler(signal, task.cancel)
    with suppress(asyncio.CancelledError):  # may happen while the worker starts
        async with (
            open_services(settings, rendering=True, access=Access.UNVERIFIED, retrying=False) as services,
            serve_health(services, listener) if listener else nullcontext(),
        ):
            await check_redis(settings)
            await services.worker.verify_installation()
            queue = "BullMQ" if settings.redis_url else "database"
            structlog.get_logger().info(
                "worker started", concurrency=concurrency, queue=queue, **describe_connections(settings)
            )
            async with services.sending_webhooks():
                await services.worker.run(concurrency)


def _announce(settings: "Settings", host: str, port: int, role: Role) -> None:
    """Says where the server is and what it is connected to: in a log line if LOG_FORMAT is `json`."""
    from proxy.settings import describe_connections

    connections = describe_connections(settings, database=role is not Role.PROXY)
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    address = "127.0.0.1" if everywhere else f"[{host}]" if ":" in host else host
    url = f"http://{address}:{port}"
    if settings.log_format == "json":
        import structlog

        structlog.get_logger().info("server started", role=str(role), host=host, port=port, **connections)
        return
    out().print(f"Darkroom on {url}{' and every other address of this machine' if everywhere else ''}")
    for name, place in connections.items():
        out().print(f"  {name:<10}{place}")
    if role is not Role.PROXY:
        key = " -H 'Authorization: Bearer YOUR_KEY'" if settings.api_keys else ""
        out().print(f"Upload an image:  curl{key} -F image=@photo.jpg {shlex.quote(url + '/images/upload')}")
