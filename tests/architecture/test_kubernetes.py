"""Checks of deploy/kubernetes without a cluster: valid against the schemas of Kubernetes, and as the code expects."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from ingest.cli import app
from proxy.settings import Settings, load_settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
OBJECTS: list[dict[str, Any]] = [
    each for name in KUSTOMIZATION["resources"] for each in yaml.safe_load_all((FOLDER / name).read_text())
]
PODS = {each["metadata"]["name"]: each["spec"]["template"] for each in OBJECTS if each["kind"] in ("Deployment", "Job")}
SERVERS = ("darkroom-ingest", "darkroom-proxy")
LONG_RUNNING = (*SERVERS, "darkroom-worker")


def named(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def container(name: str) -> dict[str, Any]:
    [only] = PODS[name]["spec"]["containers"]
    return dict(only)


def test_every_file_is_a_resource() -> None:
    assert set(KUSTOMIZATION["resources"]) == {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert set(PODS) == {*LONG_RUNNING, "darkroom-migrate"}


@pytest.mark.parametrize("version", ["1.29.0", "1.37.0"])
@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_manifest_is_valid(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate = pytest.importorskip("kubernetes_validate", reason="is in the dependency group ci")

    kubernetes_validate.validate(manifest, version, strict=True)  # unknown fields are mistakes too


@pytest.mark.parametrize("name", sorted(PODS))
def test_pod_meets_the_restricted_standard(name: str) -> None:
    pod, only = PODS[name]["spec"], container(name)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert pod["securityContext"]["runAsGroup"] == pod["securityContext"]["fsGroup"] == 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert only["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["shareProcessNamespace"]
    assert named("ServiceAccount", pod["serviceAccountName"])["automountServiceAccountToken"] is False
    namespace = named("Namespace", KUSTOMIZATION["namespace"])
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", sorted(PODS))
def test_commands_settings_and_volumes_exist(name: str) -> None:
    pod, only = PODS[name]["spec"], container(name)
    command, *options = only["args"]
    flags = {flag for parameter in typer.main.get_command(app).commands[command].params for flag in parameter.opts}
    assert {option for option in options if option.startswith("--")} <= flags

    generated = {each["name"]: each for each in KUSTOMIZATION["configMapGenerator"]}
    settings = only["envFrom"][0]["configMapRef"]["name"]
    assert only["envFrom"][1:] == [{"secretRef": {"name": "darkroom-options", "optional": True}}]
    names = [pair.partition("=")[0] for pair in generated[settings]["literals"]] + [
        each["name"] for each in only["env"]
    ]
    assert {each.lower() for each in names} <= Settings.model_fields.keys()
    secrets = {each["name"]: each["valueFrom"]["secretKeyRef"] for each in only["env"] if "valueFrom" in each}
    assert secrets == {each: {"name": "darkroom", "key": each} for each in secrets}

    assert {each["name"] for each in only["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert {each["mountPath"] for each in only["volumeMounts"]} == {"/data", "/tmp", "/etc/darkroom"}
    assert {each["configMap"]["name"] for each in pod["volumes"] if "configMap" in each} <= generated.keys()
    assert [image["name"] for image in KUSTOMIZATION["images"]] == [only["image"]]


def test_proxies_have_no_database() -> None:
    assert [each["name"] for each in container("darkroom-proxy")["env"]] == ["DARKROOM_CONFIG", "API_KEYS", "REDIS_URL"]


def test_shipped_sizes_are_the_default_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    [[sizes]] = [each["files"] for each in KUSTOMIZATION["configMapGenerator"] if "files" in each]
    monkeypatch.setenv("DARKROOM_CONFIG", str(FOLDER / sizes))
    settings = load_settings()

    assert settings.darkroom_config == FOLDER / sizes
    assert dict(settings.sizes) == dict(Settings.model_construct().sizes)


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_probes_ask_the_port_that_is_served(name: str) -> None:
    only = container(name)
    assert only["ports"] == [{"name": "http", "containerPort": 8000}]  # the image's PORT
    assert only["livenessProbe"]["httpGet"] == only["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert only["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_grace_period_of_pods_is_longer_than_their_stop(name: str) -> None:
    [drain] = re.findall(
        r"timeout_graceful_shutdown=(\d+)", (ROOT / "ingest" / "cli" / "process_commands.py").read_text()
    )
    _, pause = container(name).get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ("sleep", "0"))
    assert PODS[name]["spec"]["terminationGracePeriodSeconds"] >= int(drain) + int(pause) + 5


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_selectors_match_the_pods(name: str) -> None:
    labels = PODS[name]["metadata"]["labels"]
    assert named("Deployment", name)["spec"]["selector"]["matchLabels"] == labels
    assert named("PodDisruptionBudget", name)["spec"]["selector"]["matchLabels"] == labels
    assert named("HorizontalPodAutoscaler", name)["spec"]["scaleTargetRef"]["name"] == name
    if name in SERVERS:
        service = named("Service", name)["spec"]
        assert (service["selector"], service["ports"][0]["targetPort"]) == (labels, "http")
