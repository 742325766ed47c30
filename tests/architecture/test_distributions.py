"""The two distributions: their licence, their versions, and what their wheels contain."""

import hashlib
import json
import re
import tomllib
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import yaml
from hatchling.builders.wheel import WheelBuilder

ROOT = Path(__file__).parents[2]
CLIENT = ROOT / "clients" / "python"
APACHE = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
"""The SHA-256 of https://www.apache.org/licenses/LICENSE-2.0.txt."""


def project(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "pyproject.toml").read_text())["project"]


SERVER_PROJECT, CLIENT_PROJECT = project(ROOT), project(CLIENT)


def build(folder: Path, target: Path) -> tuple[set[str], Message]:
    """The names in a wheel, and its metadata."""
    [wheel] = WheelBuilder(str(folder)).build(directory=str(target), versions=["standard"])
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [name for name in names if name.endswith(".dist-info/METADATA")]
        return names, Parser().parsestr(archive.read(metadata).decode())


def sources(folder: Path, *packages: str) -> set[str]:
    files = (path for package in packages for path in (folder / package).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)) for path in files if "__pycache__" not in path.parts}


@pytest.mark.parametrize("folder", [ROOT, CLIENT])
def test_licence_is_apache_2_in_full_and_in_the_metadata(folder: Path) -> None:
    assert hashlib.sha256((folder / "LICENSE").read_bytes()).hexdigest() == APACHE
    assert project(folder)["license"] == "Apache-2.0"


def test_notice_names_the_authors() -> None:
    assert re.search(r"^Copyright \d{4} The Darkroom authors$", (ROOT / "NOTICE").read_text(), re.MULTILINE)
    assert {author["name"] for each in (SERVER_PROJECT, CLIENT_PROJECT) for author in each["authors"]} == {
        "The Darkroom authors"
    }


def test_versions_of_server_and_client_agree() -> None:
    version = SERVER_PROJECT["version"]
    assert CLIENT_PROJECT["version"] == version
    assert json.loads((ROOT / "clients" / "js" / "package.json").read_text())["version"] == version
    assert f"darkroom-client=={version}" in SERVER_PROJECT["dependencies"]
    assert re.search(rf"^## {re.escape(version)} \(.+\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def pythons(project: dict[str, Any]) -> list[str]:
    return re.findall(r"Programming Language :: Python :: (3\.\d+)", "\n".join(project["classifiers"]))


def test_pythons_of_the_metadata_are_those_that_ci_runs() -> None:
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    jobs = {name: job.get("strategy", {}).get("matrix", {}).get("python") for name, job in workflow["jobs"].items()}
    assert jobs == {
        "everything": None,
        "coverage": None,
        "unit": pythons(SERVER_PROJECT)[1:],
        "client": pythons(CLIENT_PROJECT),
    }
    for each in (SERVER_PROJECT, CLIENT_PROJECT):
        assert each["requires-python"] == f">={pythons(each)[0]}"
    assert workflow["permissions"] == {"contents": "read"}


def test_server_wheel_contains_every_file_of_its_packages_and_the_licence(tmp_path: Path) -> None:
    names, metadata = build(ROOT, tmp_path)

    information = f"darkroom_origin-{SERVER_PROJECT['version']}.dist-info"
    packages = {name for name in names if not name.startswith(f"{information}/")}
    assert packages == sources(ROOT, "proxy", "ingest")
    assert {"ingest/web/page/index.html", "ingest/web/openapi/template.json", "ingest/edge/variants.conf"} <= packages
    assert any(name.startswith("ingest/catalog/migrations/versions/") for name in packages)
    assert {f"{information}/licenses/LICENSE", f"{information}/licenses/NOTICE"} <= names
    assert (metadata["Name"], metadata["License-Expression"]) == ("darkroom-origin", "Apache-2.0")


def test_client_wheel_contains_the_package_and_the_licence_and_depends_on_django_as_an_extra(tmp_path: Path) -> None:
    names, metadata = build(CLIENT, tmp_path)

    information = f"darkroom_client-{CLIENT_PROJECT['version']}.dist-info"
    assert {name for name in names if not name.startswith(f"{information}/")} == sources(CLIENT / "src", "darkroom")
    assert "darkroom/py.typed" in names
    assert f"{information}/licenses/LICENSE" in names
    assert (metadata["Name"], metadata["License-Expression"]) == ("darkroom-client", "Apache-2.0")
    assert "darkroom/django/templatetags/darkroom.py" in names
    assert metadata.get_all("Requires-Dist") == ["django>=4.2; extra == 'django'"]
