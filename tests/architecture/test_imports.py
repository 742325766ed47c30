"""What each process imports: start-up time is mostly imports, so heavy libraries load only where they are used."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.catalog.database import Database
from proxy.settings import Settings

HTTP = {"starlette", "sse_starlette", "uvicorn", "httptools", "httpx", "python_multipart"}
DATABASE = {"sqlalchemy", "alembic", "asyncpg", "aiosqlite"}
AWS = {"boto3", "botocore", "s3transfer", "urllib3"}
REDIS = {"redis", "bullmq"}
IMAGING = {"PIL", "numpy", "pyvips"}
TRACES = {"opentelemetry"}

_REPORT = (
    "import atexit, json, sys;"
    "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr));"
    "sys.argv = sys.argv[0:1] + json.loads(sys.argv[1]);"
)


def imported(folder: Path, program: str, *arguments: str) -> set[str]:
    """Modules that a new process in `folder` has imported when `program` ends, by their full names."""
    done = subprocess.run(
        [sys.executable, "-c", _REPORT + program, json.dumps(arguments)],
        text=True,
        capture_output=True,
        check=True,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env={"PATH": os.defpath},  # no settings
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_help_imports_no_service(tmp_path: Path) -> None:
    modules = imported(tmp_path, "from ingest.cli import app; app()", "--help")

    assert {"ingest", "typer", "rich"} <= modules
    services = HTTP | DATABASE | AWS | REDIS | IMAGING | TRACES
    assert modules & (services | {"asyncio", "pydantic", "prometheus_client", "structlog"}) == set()


def test_config_imports_no_service(tmp_path: Path) -> None:
    modules = imported(tmp_path, "from ingest.cli import app; app()", "config")

    assert "pydantic" in modules
    assert modules & (HTTP | DATABASE | AWS | REDIS | IMAGING | TRACES) == set()


def test_proxy_imports_no_database(tmp_path: Path) -> None:
    modules = imported(
        tmp_path,
        "from proxy.settings import Settings; from proxy.web.app import create_app;"
        "create_app(Settings(redis_url='redis://127.0.0.1:1'))",
    )

    assert {"proxy", "starlette", "redis"} <= modules
    assert modules & (DATABASE | AWS | {"ingest", "bullmq", "numpy", "pyvips"}) == set()


def test_server_with_a_quality_search_imports_no_numpy(tmp_path: Path) -> None:
    modules = imported(
        tmp_path,
        "from proxy.settings import Settings; from proxy.web.app import create_app;"
        "create_app(Settings(sizes={'card': {'width': 64, 'quality': 'auto'}}))",
    )

    assert "proxy.web.app" in modules
    assert "numpy" not in modules


@pytest.mark.slow
def test_embedded_server_imports_no_unused_driver(tmp_path: Path) -> None:
    async def migrate() -> None:
        database = Database.from_settings(Settings(data_dir=tmp_path))
        await database.migrate()
        await database.close()

    asyncio.run(migrate())

    modules = imported(
        tmp_path,
        "import asyncio; from ingest.ingest_services import prepare_start;"
        "from ingest.web.ingest_app import create_app; from proxy.settings import Settings;"
        f"settings = Settings(data_dir={str(tmp_path)!r});"
        "asyncio.run(prepare_start(settings)); create_app(settings)",
    )

    assert {"starlette", "sqlalchemy", "aiosqlite"} <= modules
    assert modules & (AWS | REDIS | TRACES | {"alembic", "asyncpg", "httpx", "numpy", "pyvips"}) == set()


@pytest.mark.slow
def test_command_imports_no_http(tmp_path: Path) -> None:
    modules = imported(tmp_path, "from ingest.cli import app; app()", "gc", "--dry-run")

    assert {"ingest.ingest_services", "sqlalchemy"} <= modules
    assert modules & (HTTP | AWS | REDIS | TRACES | {"asyncpg", "numpy", "pyvips"}) == set()


def test_render_process_imports_imaging_alone(tmp_path: Path) -> None:
    modules = imported(tmp_path, "from proxy.rendering.worker_main import enter_sandbox; enter_sandbox(searches=False)")

    assert {"PIL", "pyvips"} <= modules
    others = {"asyncio", "numpy", "pydantic", "prometheus_client", "structlog", "ssl", "importlib.metadata"}
    assert modules & (HTTP | DATABASE | AWS | REDIS | TRACES | others) == set()
