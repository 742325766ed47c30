"""Asks OSV, a database of vulnerabilities, about every pin of the lock files and every library inside the wheels.

Run `make audit`; `ARGS="--ignore ID"` leaves out a vulnerability that does not concern Darkroom. Exit status: 0 if none
is known, 1 if some are, 2 if the database could not be asked. Its interface: https://google.github.io/osv.dev/api/.
"""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from typing import Any

import httpx
from packaging.version import InvalidVersion, Version

from tools.bundled import LibraryNotFound, components
from tools.locks import LOCKS, locked, pins

SERVICE = "https://api.osv.dev"
_TIMEOUT = 30  # seconds without an answer
_MAX_QUERIES = 1000  # in one request, by OSV's documentation
_MAX_REQUESTS = 100  # of batches and their further pages; OSV answers all locks in one


@dataclass(frozen=True, slots=True)
class Subject:
    """What is asked about. `name` is for people; `package` is OSV's: a purl, or a repository in its ecosystem GIT."""

    name: str
    version: str
    package: tuple[tuple[str, str], ...]

    def query(self, page: str = "") -> dict[str, Any]:
        asked: dict[str, Any] = {"package": dict(self.package), "version": self.version}
        return asked | ({"page_token": page} if page else {})


@dataclass(frozen=True, slots=True)
class Finding:
    """`ids`: the vulnerability's own, and its aliases."""

    subject: Subject
    ids: tuple[str, ...]
    summary: str
    fixed: tuple[str, ...]

    def __str__(self) -> str:
        fixed = f"fixed in {', '.join(self.fixed)}" if self.fixed else "no fixed version published"
        return f"{self.subject.name} {self.subject.version}: {' '.join(self.ids)} ({fixed}) {self.summary}".rstrip()


def subjects() -> list[Subject]:
    """Returns the pins of all locks, also those for other platforms, and what the server's wheels contain."""
    found = set()
    for lock in LOCKS:
        for requirement, _ in locked(lock):
            version = str(requirement.specifier).removeprefix("==")
            found.add(Subject(requirement.name, version, (("purl", f"pkg:pypi/{requirement.name}"),)))
    for name in pins("requirements.txt"):
        found.update(_bundled(name))
    return sorted(found, key=lambda subject: (subject.name, subject.version))


def _bundled(wheel: str) -> Iterator[Subject]:
    """Yields those libraries in the wheel whose version and origin are known."""
    for component in components(distribution(wheel)):
        version, purl = component.get("version", ""), component.get("purl", "").partition("@")[0]
        repository = "".join(each["url"] for each in component.get("externalReferences", ()))
        if version and repository:
            package = (("ecosystem", "GIT"), ("name", repository))
            yield Subject(f"{component['name']} in {wheel}", version, package)
        elif version and re.match("pkg:(cargo|pypi)/", purl):
            yield Subject(f"{component['name']} in {wheel}", version, (("purl", purl),))


def unversioned() -> list[str]:
    """Returns the libraries that cannot be asked about, because nothing in their wheel states their version."""
    return [
        f"{component['name']} in {wheel}"
        for wheel in pins("requirements.txt")
        for component in components(distribution(wheel))
        if component["type"] == "library" and not component.get("version")
    ]


def audit(client: httpx.Client, asked: Sequence[Subject], ignored: Sequence[str] = ()) -> list[Finding]:
    """Raises httpx.HTTPError, and ValueError or KeyError for an answer that is not OSV's."""
    findings = []
    for subject, ids in _affected(client, asked).items():
        told: set[str] = {*ignored}
        for vulnerability in sorted(ids):
            record = _json(client.get(f"/v1/vulns/{vulnerability}"))
            names = [record["id"], *record.get("aliases", ())]
            if "withdrawn" not in record and told.isdisjoint(names):
                told.update(names)
                findings.append(Finding(subject, tuple(names), record.get("summary", ""), _fixed(record, subject)))
    return findings


def _affected(client: httpx.Client, asked: Sequence[Subject]) -> dict[Subject, set[str]]:
    """Returns the ids of vulnerabilities of each subject that has any. Raises ValueError if the pages do not end."""
    affected: dict[Subject, set[str]] = {}
    waiting = [(subject, "") for subject in asked]
    for _ in range(_MAX_REQUESTS):
        batch, waiting = waiting[:_MAX_QUERIES], waiting[_MAX_QUERIES:]
        queries = [subject.query(page) for subject, page in batch]
        results = _json(client.post("/v1/querybatch", json={"queries": queries}))["results"]
        for (subject, _), result in zip(batch, results, strict=True):
            if ids := {each["id"] for each in result.get("vulns", ())}:
                affected.setdefault(subject, set()).update(ids)
            if page := result.get("next_page_token"):
                waiting.append((subject, page))
        if not waiting:
            return affected
    raise ValueError(f"more than {_MAX_REQUESTS} pages")


def _json(response: httpx.Response) -> Any:
    return response.raise_for_status().json()


def _fixed(record: dict[str, Any], subject: Subject) -> tuple[str, ...]:
    """Returns the versions, newer than the subject's, that the record says are fixed; of repositories, commits."""
    events = [
        event
        for affected in record.get("affected", ())
        if _concerns(affected.get("package", {}), subject)
        for each in affected.get("ranges", ())
        for event in each.get("events", ())
    ]
    fixed = dict.fromkeys(event["fixed"] for event in events if "fixed" in event)
    return tuple(version for version in fixed if _is_newer(version, subject.version))


def _concerns(package: dict[str, str], subject: Subject) -> bool:
    asked = dict(subject.package).get("purl")
    return asked is None or package.get("purl", "").partition("@")[0] == asked


def _is_newer(version: str, current: str) -> bool:
    try:
        return Version(version) > Version(current)
    except InvalidVersion:
        return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make audit", description="Asks OSV for known vulnerabilities.")
    parser.add_argument("--service", default=SERVICE, help="another server with the interface of OSV")
    parser.add_argument("--ignore", action="append", default=[], metavar="ID", help="a vulnerability to leave out")
    options = parser.parse_args(arguments)
    try:
        asked = subjects()
        with httpx.Client(base_url=options.service, timeout=_TIMEOUT) as client:
            findings = audit(client, asked, options.ignore)
    except PackageNotFoundError as error:
        return _not_asked(f"{error.name} is not installed, but locked. Run `make setup-ci`.")
    except LibraryNotFound as error:
        return _not_asked(str(error))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return _not_asked(
            f"{options.service} did not answer ({error}). Check the network and its proxy, then try again."
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _not_asked(f"{options.service} answered otherwise than OSV does ({error!r}).")
    for finding in findings:
        print(finding)
    print(f"{len(findings)} known vulnerabilities in {len(asked)} packages and libraries.")
    print(f"Not asked about, as their wheels state no version: {', '.join(unversioned())}.")
    return 1 if findings else 0


def _not_asked(reason: str) -> int:
    print(f"Nothing was audited: {reason}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
