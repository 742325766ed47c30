"""Checks of the deployment without a container engine: the compose file matches the code."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from ingest.cli import app
from ingest.edge import rules
from ingest.web.docs import DOCS_PATHS
from ingest.web.openapi import describe
from ingest.web.page import PAGE_PATHS
from proxy.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
NETWORKS: dict[str, Any] = {name: network or {} for name, network in COMPOSE["networks"].items()}
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "darkroom"}


def test_compose_file_has_every_part() -> None:
    assert set(SERVICES) == {"nginx", "proxy", "ingest", "worker", "migrate", "redis", "postgres", "s3"}
    assert set(OURS) == {"proxy", "ingest", "worker", "migrate"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_compose_commands_and_settings_exist(name: str) -> None:
    command, *options = OURS[name]["command"].split()
    known = typer.main.get_command(app).commands[command]
    flags = {flag for parameter in known.params for flag in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= flags
    assert {setting.lower() for setting in OURS[name]["environment"]} <= Settings.model_fields.keys()


@pytest.mark.parametrize("name", sorted(OURS))
def test_further_settings_have_a_file_that_may_be_missing(name: str) -> None:
    """Compose reads deploy/.env for the variables of the compose file alone."""
    assert OURS[name]["env_file"] == [{"path": "settings.env", "required": False}]


def test_proxy_role_has_no_database_settings() -> None:
    assert "DATABASE_URL" not in OURS["proxy"]["environment"]
    assert "DATABASE_URL" in OURS["ingest"]["environment"]


def test_every_dependency_and_volume_is_declared() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / "deploy" / source).exists()


def test_only_nginx_is_reachable_and_only_from_this_machine() -> None:
    ports = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert ports == {"nginx": ["${ADDRESS:-127.0.0.1}:${PORT:-8080}:8080"]}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_containers_have_few_rights_and_bounds(name: str) -> None:
    service = SERVICES[name]
    assert service["init"]
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["CHOWN", "SETGID", "SETUID"] if name == "nginx" else [])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(service[bound] for bound in ("mem_limit", "pids_limit", "cpus"))


def test_nginx_cannot_reach_services_that_hold_data() -> None:
    members = {
        network: {name for name, each in SERVICES.items() if network in each["networks"]} for network in NETWORKS
    }
    assert members["edge"] == {"nginx", "proxy", "ingest"}
    assert members["backend"] == set(SERVICES) - {"nginx"}
    assert NETWORKS["backend"]["internal"]


@pytest.mark.parametrize("name", sorted(OURS))
def test_containers_are_given_longer_to_stop_than_servers_take(name: str) -> None:
    [drain] = re.findall(
        r"timeout_graceful_shutdown=(\d+)", (ROOT / "ingest" / "cli" / "process_commands.py").read_text()
    )
    assert int(OURS[name]["stop_grace_period"].removesuffix("s")) == int(drain) + 5


def test_services_wait_until_their_dependencies_are_healthy() -> None:
    for service in SERVICES.values():
        for name, dependency in service.get("depends_on", {}).items():
            healthy = dependency["condition"] == "service_healthy"
            assert healthy is (name != "migrate")
            assert not healthy or "healthcheck" in SERVICES[name] or SERVICES[name]["image"] == "darkroom"


def test_seaweedfs_sends_no_statistics() -> None:
    assert "-master.telemetry=false" in SERVICES["s3"]["command"][1]


def test_nginx_upstreams_are_compose_services() -> None:
    servers = re.findall(r"default (\w+):(\d+); }$", (ROOT / "nginx.conf").read_text(), re.MULTILINE)
    assert servers == [("proxy", "8000"), ("ingest", "8000")]


def test_edge_rules_match_the_default_settings() -> None:
    settings = Settings.model_construct()
    assert (ROOT / "deploy" / "variants.conf").read_text() == rules.nginx(settings.sizes, settings.max_upload_mb)
    assert (ROOT / "deploy" / "edge.js").read_text() == rules.cloudfront(settings.sizes)
    assert (ROOT / "deploy" / "private-edge.js").read_text() == rules.cloudfront(settings.sizes, private=True)


def test_nginx_serves_the_upload_page() -> None:
    [pattern] = re.findall(r'"~(\^/\(\?:\(\?:page.*)" "GET, HEAD";', (ROOT / "nginx.conf").read_text())
    assert all(re.search(pattern, path) for path in (*PAGE_PATHS, *DOCS_PATHS))


def test_edges_let_every_documented_call_of_ingest_through() -> None:
    calls = {
        re.sub(r"{\w+Id}", "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", path): {verb.upper() for verb in item} & METHODS
        for path, item in describe(Settings.model_construct(), variants=False)["paths"].items()
    }
    nginx = re.findall(r'"~(\^/[^"]*)" "([A-Z, ]+)";', (ROOT / "nginx.conf").read_text())
    [function] = re.findall(r"^const INGEST = /(.*)/;$", (ROOT / "deploy" / "edge.js").read_text(), re.MULTILINE)

    for path, methods in calls.items():
        [allowed] = [allowed for pattern, allowed in nginx if re.search(pattern, path)] or [""]
        is_blocked = path in {"/metrics", "/readyz"}  # monitoring asks each process itself
        assert (methods <= set(allowed.split(", "))) is not is_blocked, path
        assert bool(re.search(function, path)) is not is_blocked, path


@pytest.mark.parametrize("name", sorted(OURS))
def test_containers_write_to_memory_only(name: str) -> None:
    assert {each.split(":")[0] for each in OURS[name]["tmpfs"]} == {"/data", "/tmp"}
    assert not OURS[name].get("volumes")


@pytest.mark.parametrize("name", sorted(OURS))
def test_only_servers_have_a_health_check(name: str) -> None:
    assert OURS[name].get("healthcheck", {}).get("disable", False) is not OURS[name]["command"].startswith("serve")


def test_no_secret_has_a_default_value() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text()
    for secret in ("API_KEYS", "S3_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD"):
        assert set(re.findall(rf"\$\{{{secret}[^}}]*\}}", text)) == {f"${{{secret}:?set {secret}}}"}


def test_image_installs_from_the_lock_file_as_non_root() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--no-deps --require-hashes --no-build-isolation -r requirements.txt" in dockerfile
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)


def test_guide_makes_valid_services_of_systemd(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "guides" / "operator.md").read_text()
    [script] = re.findall(r"^unit\(\) \{.*?^(?=systemctl)", guide, re.MULTILINE | re.DOTALL)
    (program := tmp_path / ".venv" / "bin" / "darkroom").parent.mkdir(parents=True)
    program.touch(mode=0o755)
    subprocess.run(["sh", "-ec", script.replace("/etc/systemd/system", str(tmp_path))], cwd=tmp_path, check=True)

    units = sorted(tmp_path.glob("darkroom-*.service"))
    assert [unit.stem for unit in units] == ["darkroom-ingest", "darkroom-proxy", "darkroom-worker"]
    for unit in units:
        [started] = re.findall(r"^ExecStart=(\S+) (\w+) (.*)$", unit.read_text(), re.MULTILINE)
        known = {flag for each in typer.main.get_command(app).commands[started[1]].params for flag in each.opts}
        assert started[0] == str(program)
        assert {option for option in started[2].split() if option.startswith("--")} <= known
    if analyze := shutil.which("systemd-analyze"):
        judged = subprocess.run([analyze, "verify", *units], capture_output=True, text=True, check=False)
        assert [line for line in judged.stderr.splitlines() if "darkroom-" in line] == []  # others are this machine's
