"""The READMEs of the examples fit their code. `tests/browser/` runs them."""

import re
from pathlib import Path

import pytest

from proxy.settings import Settings
from tests.example_apps import EXAMPLES, PORTS, commands

FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/README.md"))
EXPORTED = re.compile(r"^export (\w+)=", re.MULTILINE)
READ = re.compile(r"""environ(?:\[|\.get\()["'](\w+)""")


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.param


def test_commands_give_every_variable_that_the_example_reads(folder: Path) -> None:
    _, secrets, _, example = commands((folder / "README.md").read_text())
    read = {name for path in folder.rglob("*.py") for name in READ.findall(path.read_text())}

    assert read
    assert read <= {*EXPORTED.findall(secrets), *EXPORTED.findall(example)}


def test_commands_give_darkroom_known_settings(folder: Path) -> None:
    _, secrets, darkroom, example = commands((folder / "README.md").read_text())
    known = {name.upper() for name in Settings.model_fields}

    assert set(EXPORTED.findall(darkroom)) <= known
    shared = set(EXPORTED.findall(secrets)) & known
    read = {name for path in folder.rglob("*.py") for name in READ.findall(path.read_text())}
    assert shared <= read, "a secret of both sides that the example does not read"
    assert all(port in darkroom + example for port in PORTS.values())


def test_table_explains_every_variable(folder: Path) -> None:
    readme = (folder / "README.md").read_text()
    exported = {name for block in commands(readme) for name in EXPORTED.findall(block)}

    assert exported == set(re.findall(r"^\| `([A-Z_]+)` \|", readme, re.MULTILINE))


def test_fastapi_keeps_what_the_client_renders_from() -> None:
    client = (EXAMPLES.parent / "clients/js/src/describe-upload.ts").read_text()
    [known] = re.findall(r"interface KnownUpload \{(.*?)\n\}", client, re.DOTALL)
    [kept] = re.findall(r"^KEPT = \((.*)\)", (EXAMPLES / "fastapi-spa/app.py").read_text(), re.MULTILINE)

    assert set(re.findall(r'"(\w+)"', kept)) == set(re.findall(r"readonly (\w+)", known))
