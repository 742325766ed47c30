"""Offline checks of the dependencies: pinned, complete, consistent, and with reviewed licences.

Not known vulnerabilities: docs/decisions/0020-observability.md.
"""

import re
import tomllib
from importlib.metadata import distribution, version
from itertools import chain

from tools.locks import LOCKS, ROOT, locked, pins

LICENCES = re.compile(
    r"\b(MIT|BSD|Apache|ISC|MPL-2\.0|Mozilla Public License 2\.0|PSF|Python Software Foundation|HPND|Unlicense|LGPL)\b"
    r"|MIT-CMU|LGPLv3",
    re.IGNORECASE,
)
"""Licences that require only that their text is included. The LGPL is libvips', which is loaded dynamically."""


def test_every_package_is_pinned_with_hashes() -> None:
    for lock in LOCKS:
        text = (ROOT / lock).read_text()
        assert "://" not in text
        found = locked(lock)
        assert len(found) == len(re.findall(r"^\w", text, re.MULTILINE))
        for requirement, hashes in found:
            assert re.fullmatch(r"==[0-9][\w.!+]*", str(requirement.specifier)), requirement
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), requirement


def test_each_lock_has_the_pins_of_the_one_before() -> None:
    build, run, dev, ci = (pins(lock) for lock in LOCKS)
    assert build.items() <= dev.items()
    assert run.items() <= dev.items()
    assert dev.items() <= ci.items()


def test_locks_contain_every_declared_dependency() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project, groups = pyproject["project"], pyproject["dependency-groups"]
    extras = project["optional-dependencies"]
    del extras["heic"]  # GPL (x265): a choice of the operator, and no part of the image
    server = [*project["dependencies"], *chain.from_iterable(extras.values())]
    for lock, declared in zip(LOCKS, (groups["build"], server, groups["dev"], groups["ci"]), strict=True):
        names = {re.split(r"[\[<>=]", one)[0] for one in declared}
        assert names - {"darkroom-client"} <= pins(lock).keys()  # it is in this repository


def test_installed_packages_are_the_locked_ones() -> None:
    assert {name: version(name) for name in pins("requirements-dev.txt")} == pins("requirements-dev.txt")


def test_every_licence_is_known() -> None:
    for name in pins("requirements.txt"):
        facts = distribution(name).metadata
        stated = [
            facts.get("License-Expression") or "",
            *(facts.get_all("Classifier") or []),
            facts.get("License") or "",
        ]
        licences = [one for one in stated if one and not one.startswith(("Programming", "Operating"))]
        assert any(LICENCES.search(one) for one in licences), (name, licences)
        assert not any(re.search(r"\b(A?GPL|GPLv\d)\b", one) for one in stated if "LGPL" not in one), name
