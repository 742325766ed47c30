"""`darkroom doctor` on real servers: its findings, and exit code 0 only if no check failed."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.client import until
from tests.http_client import http
from tests.postgres import PostgresServer
from tests.redis_server import RedisServer
from tests.seaweedfs import SeaweedServer
from tests.service import PATIENT, Service, darkroom, darkroom_without_numpy
from tests.unit.ingest.examples import image_bytes

UNREACHABLE = "127.0.0.1:9"
STORE = ("object store", "listing", "conditional writes", "versions")


def examined(folder: Path, **settings: str) -> tuple[int, dict[str, tuple[str, str]]]:
    done = darkroom(folder, "doctor", "--json", **settings)
    return done.returncode, {each["name"]: (each["verdict"], each["remark"]) for each in json.loads(done.stdout)}


@pytest.mark.slow
def test_doctor_fails_until_the_database_is_migrated(
    tmp_path: Path, seaweedfs: SeaweedServer, postgres: PostgresServer, redis: RedisServer
) -> None:
    bucket = f"doctor-{uuid4().hex}"
    seaweedfs.create_bucket(bucket)
    servers = {
        "S3_BUCKET": bucket,
        "S3_ENDPOINT_URL": seaweedfs.endpoint_url,
        "AWS_ACCESS_KEY_ID": seaweedfs.access_key_id,
        "AWS_SECRET_ACCESS_KEY": seaweedfs.secret_access_key,
        "DATABASE_URL": postgres.create_database(),
        "REDIS_URL": redis.url,
    }

    code, found = examined(tmp_path, **servers)

    assert code == 1
    assert [name for name, (verdict, _) in found.items() if verdict == "failed"] == ["database"]
    assert "lacks 0001 (Upload jobs and images), 0002 (" in found["database"][1]
    assert found["database"][1].endswith("run `darkroom migrate`.")
    assert darkroom(tmp_path, "migrate", **servers).returncode == 0

    code, found = examined(tmp_path, **servers)

    assert code == 0
    for name in (*STORE, "database", "installation", "queue, sharing", "clock"):
        assert found[name][0] == "ok", found[name]
    assert found["queue"][0] == "warning"  # this one keeps nothing on disk
    assert "appendonly" in found["queue"][1]
    assert all(name in found["clock"][1] for name in ("store", "database", "Redis"))


@pytest.mark.slow
def test_doctor_names_failed_dependencies_and_checks_the_rest(tmp_path: Path) -> None:
    code, found = examined(
        tmp_path,
        S3_BUCKET="bucket",
        S3_ENDPOINT_URL=f"http://{UNREACHABLE}",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        DATABASE_URL=f"postgresql+asyncpg://darkroom:hunter2@{UNREACHABLE}/darkroom",
        REDIS_URL=f"redis://:hunter2@{UNREACHABLE}/0",
        CDN_URL=f"http://{UNREACHABLE}",
    )

    failed = {name for name, (verdict, _) in found.items() if verdict == "failed"}
    assert code == 1
    assert failed == {*STORE, "database", "queue", "queue, sharing", "CDN, missing", "CDN, stored"}
    assert found["clock"][0] == "warning"
    assert found["codecs"][0] == "ok"
    assert "hunter2" not in json.dumps(found)


@pytest.mark.slow
def test_doctor_checks_a_cdn_in_front_of_darkroom(tmp_path: Path) -> None:
    """The server itself is the CDN: a CDN would forward the same responses."""
    with Service(tmp_path, WARM_UP="false", **PATIENT) as service:
        upload_id = http.post(f"{service.url}/images/upload", files={"image": image_bytes()}).json()["uploadId"]
        _, empty = examined(tmp_path, CDN_URL=service.url)
        http.get(f"{service.url}/images/{upload_id}/small.avif").raise_for_status()
        until(lambda: list(tmp_path.glob(f"data/objects/images/{upload_id}/small.avif")))  # written back

        code, found = examined(tmp_path, CDN_URL=service.url)
        _, lost = examined(tmp_path, CDN_URL=f"{service.url}/elsewhere")

    assert code == 0
    assert empty["CDN, stored"] == ("skipped", "no variant is stored yet")
    assert found["CDN, stored"] == ("ok", "serves a stored variant with the right headers")
    assert found["CDN, missing"][0] == "warning"  # because it has no TLS
    assert "https://" in found["CDN, missing"][1]
    assert lost["CDN, stored"][0] == "failed"


@pytest.mark.slow
def test_doctor_and_config_run_without_numpy_that_a_size_needs(tmp_path: Path) -> None:
    (tmp_path / "darkroom.toml").write_text('[sizes.card]\nwidth = 64\nquality = "auto"\n')

    shown = darkroom_without_numpy(tmp_path, "config", "--json")
    diagnosed = darkroom_without_numpy(tmp_path, "doctor", "--json")

    assert (shown.returncode, shown.stderr) == (0, "")
    assert json.loads(shown.stdout)["sizes"]["value"]["card"]["quality"] == "auto"
    failed = {each["name"]: each["remark"] for each in json.loads(diagnosed.stdout) if each["verdict"] == "failed"}
    assert (diagnosed.returncode, list(failed)) == (1, ["numpy"])
    assert failed["numpy"].startswith('sizes: quality = "auto" of card needs numpy, which is not installed.')


def test_doctor_prints_a_table(tmp_path: Path) -> None:
    done = darkroom(tmp_path, "doctor")

    rows = [line.split() for line in done.stdout.splitlines() if line.strip()]
    assert done.returncode == 0
    assert rows[0] == ["Verdict", "Part", "Finding"]
    assert {row[0] for row in rows[2:]} <= {"ok", "warning", "skipped"}
    assert "darkroom serve" in done.stdout  # the embedded database does not exist yet
