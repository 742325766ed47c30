"""What is not imported: the proxy knows no database."""

import json
import subprocess
import sys


def test_the_proxy_imports_nothing_of_a_database() -> None:
    program = (
        "import json, sys; from proxy.settings import Settings; from proxy.web.app import create_app;"
        "create_app(Settings(redis_url='redis://127.0.0.1:1')); print(json.dumps(sorted(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)

    packages = {name.partition(".")[0] for name in json.loads(printed.stdout)}
    assert {"proxy", "starlette", "redis"} <= packages
    assert not packages & {"ingest", "sqlalchemy", "alembic", "asyncpg", "aiosqlite", "bullmq"}


def test_the_command_imports_nothing_of_a_database_for_the_proxys_role() -> None:
    program = "import json, sys, ingest.cli; print(json.dumps(sorted(sys.modules)))"
    printed = subprocess.run([sys.executable, "-c", program], text=True, capture_output=True, check=True)

    packages = {name.partition(".")[0] for name in json.loads(printed.stdout)}
    assert not packages & {"sqlalchemy", "alembic", "asyncpg", "aiosqlite", "bullmq"}
