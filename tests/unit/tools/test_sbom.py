"""The bill of materials: valid, complete, true, and the same each time."""

import ctypes
import hashlib
import json
import platform
import subprocess
import sys
from importlib.metadata import distribution
from typing import Any

import pytest
import pyvips
from PIL import features

from tests.conftest import ci_module
from tools import bundled, sbom
from tools.bundled import LibraryNotFound, components
from tools.locks import ROOT, locked, pins

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.system() != "Linux", reason="wheels for other systems have other libraries"),
]

FIXED = {"SOURCE_DATE_EPOCH": "1764374400"}


def printed(environment: dict[str, str]) -> str:
    command = [sys.executable, "-m", "tools.sbom"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, text=True).stdout


@pytest.fixture(scope="module")
def text() -> str:
    return printed(FIXED)


@pytest.fixture(scope="module")
def packages(text: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(text)["components"]}


def libraries(package: dict[str, Any]) -> dict[str, str | None]:
    return {each["name"]: each.get("version") for each in package["components"] if each["type"] == "library"}


def test_document_is_valid_cyclonedx(text: str) -> None:
    ci_module("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"type": "library"', '"type": "shelf"', 1)) is not None


def test_document_has_every_pin_with_its_hashes_and_licence(packages: dict[str, dict[str, Any]]) -> None:
    found = {name: package["version"] for name, package in packages.items()}
    assert found.pop("darkroom-client") == distribution("darkroom-client").version
    assert found == pins("requirements.txt")

    for requirement, hashes in locked("requirements.txt"):
        package = packages.get(requirement.name)
        if package and str(requirement.specifier) == f"=={package['version']}":
            assert [f"sha256:{each['content']}" for each in package["hashes"]] == hashes
            assert package["purl"] == f"pkg:pypi/{requirement.name}@{package['version']}"
            assert package["licenses"], requirement.name


def test_libraries_in_wheels_have_the_versions_that_run(packages: dict[str, dict[str, Any]]) -> None:
    in_pillow, in_libvips = libraries(packages["pillow"]), libraries(packages["pyvips-binary"])

    assert in_libvips["libvips"] == ".".join(str(pyvips.version(part)) for part in range(3))
    assert in_pillow["libavif"] == features.version("avif")
    assert in_pillow["libjpeg-turbo"] == features.version("libjpeg_turbo")
    assert {"aom", "dav1d"} <= in_pillow.keys()
    assert {"aom", "libheif", "libpng", "libwebp", "mozjpeg", "lcms2"} <= in_libvips.keys()
    assert in_libvips["aom"]
    assert in_libvips["libwebp"] is None  # neither the wheel nor the library says it

    # By the libraries' own functions, not Pillow's.
    files = distribution("pillow").files or ()
    [libwebp] = [file for file in files if "pillow.libs/libwebp-" in str(file)]
    encoder = ctypes.CDLL(str(libwebp.locate())).WebPGetEncoderVersion()
    assert in_pillow["libwebp"] == f"{encoder >> 16}.{encoder >> 8 & 255}.{encoder & 255}"


def test_files_that_a_wheel_brings_are_listed_with_their_hash(packages: dict[str, dict[str, Any]]) -> None:
    files = {each["name"]: each for each in packages["pyvips-binary"]["components"] if each["type"] == "file"}
    [(name, file)] = files.items()

    assert name.startswith("pyvips_binary.libs/libvips-")
    assert file["hashes"] == [{"alg": "SHA-256", "content": sha256(name)}]


def sha256(name: str) -> str:
    return hashlib.sha256(distribution("pyvips-binary").locate_file(name).read_bytes()).hexdigest()


def test_crates_that_a_wheel_states_are_listed(packages: dict[str, dict[str, Any]]) -> None:
    stated = packages["pydantic-core"]["components"]

    assert any(each["purl"] == f"pkg:cargo/serde@{each['version']}" for each in stated if each["name"] == "serde")


def test_every_package_is_required_by_another(text: str) -> None:
    document = json.loads(text)
    required = {each for one in document["dependencies"] for each in one["dependsOn"]}

    assert document["metadata"]["component"]["name"] == "darkroom-origin"
    assert {each["bom-ref"] for each in document["components"]} == required


def test_document_is_the_same_each_time(text: str) -> None:
    assert printed(FIXED) == text
    assert json.loads(text)["metadata"]["timestamp"] == "2025-11-29T00:00:00+00:00"
    assert "timestamp" not in json.loads(printed({}))["metadata"]


def test_library_that_a_wheel_no_longer_has_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bundled._IN_LIBVIPS, "libshelf", rb"no such text in libvips")

    with pytest.raises(LibraryNotFound, match="has no libshelf"):
        components(distribution("pyvips-binary"))


def test_outdated_environment_exits_with_2(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sbom, "distribution", lambda name: distribution(f"no-{name}"))

    assert sbom.main() == 2

    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("Nothing was listed: no-darkroom-origin is not installed, but locked.")
