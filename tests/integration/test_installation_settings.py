"""Settings of real installations on real commands: refusals without secrets, and what a start says."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.client import until
from tests.conftest import need
from tests.http_client import http
from tests.redis_server import RedisServer
from tests.service import Service, Worker, darkroom

KEY = "0123456789abcdef"
REMOTE = {"S3_BUCKET": "pictures", "S3_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1"}


@pytest.mark.parametrize(
    "command", ["doctor", *(pytest.param(other, marks=pytest.mark.slow) for other in ("migrate", "config", "serve"))]
)
def test_every_mistake_is_listed_without_secrets(tmp_path: Path, command: str) -> None:
    (tmp_path / "darkroom.toml").write_text("[sizes.card]\nwidth = 0\n")

    done = darkroom(
        tmp_path,
        command,
        DATABASE_URL="postgres://u:hunter2@db:port/d",
        REDIS_URL="redis://:hunter2@",
        S3_BUCKET="s3://pictures",
        API_KEYS_FILE="hunter2",
    )

    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout, lines[0]) == (2, "", "The settings are wrong:")
    assert [line.split(":")[0] for line in lines[1:]] == [
        "API_KEYS_FILE",
        "S3_BUCKET",
        "DATABASE_URL",
        "REDIS_URL",
        "sizes.card.width",
    ]
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("command", [("upload", "x.jpg"), pytest.param(("worker",), marks=pytest.mark.slow)])
def test_shared_store_without_shared_database_is_refused(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = darkroom(tmp_path, *command, **REMOTE, REDIS_URL="redis://127.0.0.1:9")

    assert (done.returncode, done.stdout) == (2, "")
    assert "Set DATABASE_URL" in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_doctor_names_the_missing_database_url(tmp_path: Path) -> None:
    done = darkroom(tmp_path, "doctor", "--json", **REMOTE, REDIS_URL="redis://127.0.0.1:9")

    found = {each["name"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["settings"]["verdict"] == "failed"
    assert "Set DATABASE_URL" in found["settings"]["remark"]


@pytest.mark.slow
@pytest.mark.parametrize("command", ["serve", "worker"])
def test_redis_cluster_is_refused_at_the_start(tmp_path: Path, command: str) -> None:
    need(shutil.which("redis-server"), "redis-server")
    with RedisServer(cluster_enabled="yes") as redis:
        done = darkroom(tmp_path, command, REDIS_URL=redis.url)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Redis Cluster cannot hold the queue" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "code", "folder"), [("serve", 2, "/sys/tmp"), ("worker", 2, "/sys/tmp"), ("migrate", 1, "/sys")]
)
def test_folder_that_is_not_writable_is_named_with_the_user(
    tmp_path: Path, command: str, code: int, folder: str
) -> None:
    done = darkroom(tmp_path, command, DATA_DIR="/sys")

    assert done.returncode == code
    assert f"User {os.getuid()}, group {os.getgid()} cannot write to {folder} (" in done.stderr
    assert "set DATA_DIR to another folder" in done.stderr


@pytest.mark.slow
def test_server_logs_its_connections_in_json(tmp_path: Path) -> None:
    """On one JSON line, after the port is bound, without secrets."""
    with Service(
        tmp_path,
        *("--role", "proxy"),
        ready="/healthz",
        REDIS_URL="redis://:hunter2@127.0.0.1:9/1",
        API_KEYS=KEY,
        **REMOTE,
    ) as service:
        log = service.log()

    [started] = [line for line in map(json.loads, log.splitlines()) if line["event"] == "server started"]
    assert {name: started[name] for name in ("role", "host", "store", "redis", "data_dir")} == {
        "role": "proxy",
        "host": "127.0.0.1",
        "store": "bucket pictures at http://127.0.0.1:9",
        "redis": "redis://:(hidden)@127.0.0.1:9/1",
        "data_dir": str(tmp_path / "data"),
    }
    assert "database" not in started
    assert "hunter2" not in log


@pytest.mark.slow
def test_server_logs_its_connections_as_text(tmp_path: Path) -> None:
    with Service(tmp_path, LOG_FORMAT="console") as service:
        lines = service.log().splitlines()

    assert lines[:5] == [
        f"Darkroom on {service.url}",
        f"  store     files in {tmp_path}/data/objects",
        f"  database  SQLite in {tmp_path}/data",
        "  redis     none",
        f"  data_dir  {tmp_path}/data",
    ]


@pytest.mark.slow
def test_worker_logs_its_connections(tmp_path: Path) -> None:
    with Worker(tmp_path) as worker:
        until(lambda: "worker started" in worker.log())

        started = json.loads(worker.log().splitlines()[0])

    assert (started["event"], started["store"]) == ("worker started", f"files in {tmp_path}/data/objects")
    assert started["database"] == f"SQLite in {tmp_path}/data"


@pytest.mark.slow
def test_port_in_use_prints_one_message(tmp_path: Path) -> None:
    """Nothing was touched, either: the embedded database may be that of the other server."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    with Service(tmp_path / "one", ready="/healthz") as service:
        port = service.url.rpartition(":")[2]
        for command in (("serve",), ("serve", "--workers", "2"), ("worker",)):
            done = darkroom(tmp_path / "two", *command, "--port", port)

            assert (done.returncode, done.stdout) == (1, ""), command
            assert done.stderr == (
                f"Port {port} of 127.0.0.1 cannot be used: Address already in use. Choose another with --port.\n"
            ), command
            assert list((tmp_path / "two").iterdir()) == [], command


def test_host_that_is_not_of_this_machine_is_named_with_its_option(tmp_path: Path) -> None:
    done = darkroom(tmp_path, "serve", "--host", "203.0.113.1", API_KEYS=KEY)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith(" Choose another with --host.\n")


@pytest.mark.slow
def test_keys_may_be_lines_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{KEY}\n{KEY[::-1]}\n")
    with Service(tmp_path, API_KEYS_FILE="keys") as service:
        answers = [
            http.get(f"{service.url}/images", headers={"Authorization": f"Bearer {key}"}).status_code
            for key in (KEY, KEY[::-1], "wrong")
        ]

    assert answers == [200, 200, 401]
