"""The JavaScript client: its own tests, what its package contains, and its calls to a real service."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.javascript import CLIENT, compiled, compiler, node, npm
from tests.photographs import photograph_path
from tests.service import PATIENT, Service

KEY = "back-end-back-end"
PACKAGE = json.loads((CLIENT / "package.json").read_text())
LOCK = json.loads((CLIENT / "package-lock.json").read_text())


@pytest.mark.parametrize("path", sorted(CLIENT.glob("tests/*.test.mjs")), ids=lambda path: path.name)
def test_tests_of_node_pass(path: Path) -> None:
    compiled()

    done = node("--test", f"tests/{path.name}")

    assert done.returncode == 0, done.stdout + done.stderr
    [passed] = re.findall(r"^\S pass (\d+)$", done.stdout, re.MULTILINE)
    assert int(passed) > 0
    assert re.findall(r"^\S (?:skipped|todo) (\d+)$", done.stdout, re.MULTILINE) == ["0", "0"]


@pytest.mark.slow
def test_types_accept_usual_calls_and_refuse_mistakes() -> None:
    compiled()

    done = compiler("-p", "tests")

    assert (done.returncode, done.stdout) == (0, "")


def test_package_contains_the_compiled_client_and_nothing_else() -> None:
    compiled()

    [packed] = json.loads(npm("pack", "--dry-run", "--json", "--ignore-scripts").stdout)

    built = {f"dist/{path.stem}.{kind}" for path in CLIENT.glob("src/*.ts") for kind in ("js", "d.ts")}
    assert {file["path"] for file in packed["files"]} == {"package.json", "README.md", "LICENSE", *built}
    exported = {target for entry in PACKAGE["exports"].values() if isinstance(entry, dict) for target in entry.values()}
    assert {target.removeprefix("./") for target in exported} <= built


def test_client_runs_without_any_package() -> None:
    """Only `./react` imports one, which is an optional peer."""
    compiled()

    imported = {
        path.name: set(re.findall(r'^(?:import|export) .*from "([^".][^"]*)"', path.read_text(), re.MULTILINE))
        for path in CLIENT.glob("dist/*.js")
    }

    assert {name: packages for name, packages in imported.items() if packages} == {"react.js": {"react"}}
    assert "dependencies" not in PACKAGE
    assert PACKAGE["peerDependenciesMeta"] == {"react": {"optional": True}}


def test_entry_for_pages_contains_nothing_that_needs_a_secret() -> None:
    compiled()
    reached, waiting = set[str](), ["index.js", "react.js", "next.js"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += re.findall(r'from "\./([^"]+)"', (CLIENT / "dist" / name).read_text())

    assert reached == {
        *("index.js", "react.js", "next.js", "describe-upload.js", "picture.js", "upload.js", "urls.js"),
    }


def test_names_that_the_readme_imports_are_exported() -> None:
    compiled()
    readme = (CLIENT / "README.md").read_text()
    imports = re.findall(r'import \{ ([^}]+) \} from "(darkroom-client[^"]*)"', readme)
    assert len(imports) >= 5
    checks = (f"const {{ {names} }} = await import('{entry}'); [{names}].map(String)" for names, entry in imports)
    program = "".join(
        f"{{ {check}.forEach((each) => {{ if (each === 'undefined') throw each }}) }}" for check in checks
    )

    done = node("--input-type=module", "-e", program)

    assert (done.returncode, done.stderr) == (0, "")


def test_readme_names_every_export() -> None:
    sources = [
        (CLIENT / "src" / f"{name}.ts").read_text() for name in ("index", "server", "react", "next", "documents")
    ]
    lists = re.findall(r"^export (?:type )?\{ ([^}]+) \}", "\n".join(sources), re.MULTILINE)
    names = {name for names in lists for name in names.split(", ")}
    names |= set(re.findall(r"^export (?:async )?(?:function|type|interface) (\w+)", "\n".join(sources), re.MULTILINE))
    readme = (CLIENT / "README.md").read_text()

    assert {name for name in names if not re.search(rf"`<?{name}\b", readme)} == set()


def test_lock_file_has_a_digest_for_each_package_and_no_host() -> None:
    packages = {name: package for name, package in LOCK["packages"].items() if name}

    assert packages.keys() >= {"node_modules/typescript", "node_modules/react"}
    assert all(package["integrity"].startswith("sha512-") and package["dev"] for package in packages.values())
    assert not any("resolved" in package for package in packages.values())
    assert LOCK["version"] == PACKAGE["version"]


def test_licence_is_that_of_the_server() -> None:
    digests = {hashlib.sha256((folder / "LICENSE").read_bytes()).digest() for folder in (CLIENT, CLIENT.parents[1])}

    assert len(digests) == 1
    assert PACKAGE["license"] == "Apache-2.0"


def test_node_uploads_and_loads_the_variants_that_it_names(tmp_path: Path) -> None:
    compiled()
    small = '[sizes.small]\nwidth = 150\nheight = 150\nposition = "focus"\n'
    (tmp_path / "darkroom.toml").write_text(f"widths = [320, 480]\n{small}")
    with Service(tmp_path, WARM_UP="false", API_KEYS=KEY, ready="/healthz", **PATIENT) as service:
        done = node("tests/service.mjs", service.url, KEY, str(photograph_path("rocket.jpg")))

    assert done.returncode == 0, done.stderr + service.log()
    found = json.loads(done.stdout)
    refused = found["refused"]
    assert (refused["name"], refused["code"], refused["status"]) == ("UploadError", "unauthorized", 401)
    assert "API keys" in refused["message"]
    assert found["unsupported"] == {"name": "UploadError", "code": "unsupported_format", "status": 400}
    assert (found["repeated"], found["focus"], found["same"]) == (True, "0.25,0.5", True)
    assert f'/images/{found["uploadId"]}/w480.avif 480w"' in found["picture"]
    assert found["loaded"] == [
        [200, media_type, width, True]
        for media_type in ("image/avif", "image/webp", "image/jpeg")
        for width in ("320w", "480w")
    ]
    assert found["negotiated"] == [200, "image/avif"]
