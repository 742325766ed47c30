"""Prints the bill of materials of the server: a CycloneDX document of what requirements.txt has installed.

Run `make sbom`. The same environment and SOURCE_DATE_EPOCH give the same bytes. The interpreter and the packages of the
operating system are not in it: they come from the image's base.
"""

import json
import os
import sys
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.bundled import Component, LibraryNotFound, components
from tools.locks import locked, pins

LOCK = "requirements.txt"
OURS = ("darkroom-origin", "darkroom-client")


def document() -> dict[str, object]:
    """Returns the document, of CycloneDX 1.6. Raises PackageNotFoundError, LibraryNotFound."""
    hashes = {
        (requirement.name, str(requirement.specifier).removeprefix("==")): found for requirement, found in locked(LOCK)
    }
    installed = {name: distribution(name) for name in (*OURS, *pins(LOCK))}
    server, *packages = (_package(wheel, hashes.get((name, wheel.version), ())) for name, wheel in installed.items())
    server["type"] = "application"
    metadata: dict[str, object] = {"component": server}
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        metadata["timestamp"] = datetime.fromtimestamp(int(epoch), UTC).isoformat()
    content = {
        "metadata": metadata,
        "components": packages,
        "dependencies": [
            {"ref": purl(wheel), "dependsOn": [purl(installed[name]) for name in _required(wheel, installed)]}
            for wheel in installed.values()
        ],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(content)).urn,
        "version": 1,
        **content,
    }


def purl(wheel: Distribution) -> str:
    return f"pkg:pypi/{canonicalize_name(wheel.name)}@{wheel.version}"


def _package(wheel: Distribution, hashes: Iterable[str]) -> Component:
    """`hashes`: of the lock, one for each file that the index has of this version."""
    component: Component = {
        "type": "library",
        "bom-ref": purl(wheel),
        "name": str(canonicalize_name(wheel.name)),
        "version": wheel.version,
        "purl": purl(wheel),
    }
    if licences := _licences(wheel):
        component["licenses"] = licences
    if found := [{"alg": "SHA-256", "content": each.removeprefix("sha256:")} for each in hashes]:
        component["hashes"] = found
    if bundled := components(wheel):
        component["components"] = bundled
    return component


def _licences(wheel: Distribution) -> list[Component]:
    facts = wheel.metadata
    if expressions := facts.get_all("License-Expression"):
        return [{"expression": expression} for expression in expressions]
    classified = [
        each.rpartition(" :: ")[2] for each in facts.get_all("Classifier") or () if each.startswith("License ::")
    ]
    stated = [text.partition("\n")[0] for text in facts.get_all("License") or ()]
    return [{"license": {"name": name}} for name in classified or stated]


def _required(wheel: Distribution, installed: Iterable[str]) -> list[str]:
    """Returns the installed packages that this one requires, those of its extras included."""
    extras = ("", *(wheel.metadata.get_all("Provides-Extra") or ()))
    found = set()
    for requirement in map(Requirement, wheel.requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            found.add(str(canonicalize_name(requirement.name)))
    return sorted(found & set(installed))


def main() -> int:
    try:
        print(json.dumps(document(), indent=1))
    except PackageNotFoundError as error:
        return _not_listed(f"{error.name} is not installed, but locked. Run `make setup`.")
    except LibraryNotFound as error:
        return _not_listed(str(error))
    return 0


def _not_listed(reason: str) -> int:
    print(f"Nothing was listed: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
