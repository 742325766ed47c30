"""Commands over many uploads: what is refused of one object is reported, and a short outage is waited for."""

import errno
import os
from pathlib import Path

import pytest

from proxy.errors import StoreUnavailable
from proxy.storage.disk import DiskStore
from tests.cluster import TINY
from tests.integration.test_recovery import Installation

pytestmark = pytest.mark.promise("E13")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "ours")


class Refusals:
    """The store refuses these calls, as a bucket does for an object with another owner or a legal hold."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def add(self, method: str, part: str, *, is_outage: bool = False, times: int = 1_000_000) -> None:
        """Of `method` for keys that contain `part`, the first `times`."""
        inner = getattr(DiskStore, method)
        left = iter(range(times))

        async def call(store: DiskStore, *keys: str, **options: object) -> object:
            if any(part in str(key) for key in keys) and next(left, None) is not None:
                raise StoreUnavailable(f"{method} is refused.", is_outage=is_outage)
            return await inner(store, *keys, **options)

        self._monkeypatch.setattr(DiskStore, method, call)


@pytest.fixture
def refusals(monkeypatch: pytest.MonkeyPatch) -> Refusals:
    return Refusals(monkeypatch)


def failed(upload_id: str, method: str) -> dict[str, object]:
    return {"failed": [{"uploadId": upload_id, "reason": f"{method} is refused."}], "failedCount": 1}


@pytest.mark.slow
def test_gc_goes_on_after_a_refused_object_and_a_refused_file(
    installation: Installation, refusals: Refusals, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation.upload(1)
    backup = installation.backup()
    lost = sorted(installation.upload(2, 3))
    installation.restore(backup)
    temporary = installation.folder / "data" / "tmp"
    for name in ("mine", "theirs"):
        (temporary / name).write_bytes(b"half")
        os.utime(temporary / name, (0, 0))
    (expired := installation.folder / "data" / "failures" / "of a derivation").parent.mkdir()
    expired.touch()
    os.utime(expired, (0, 0))
    installation.make_old()
    refusals.add("copy", lost[0])
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name == "theirs":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)

    report = installation.run("gc", "--max-share", "1", code=1)

    assert [(one["kind"], one["name"]) for one in report["found"]] == [
        ("temporary", "data/tmp/mine"),
        ("temporary", "data/failures/of a derivation"),
        ("orphan", lost[1]),
    ]
    assert report["failed"] == [
        {
            "kind": "temporary",
            "name": "data/tmp/theirs",
            "reason": "Permission denied: data/tmp/theirs. Remove it as its owner.",
        },
        {"kind": "orphan", "name": lost[0], "reason": "copy is refused."},
    ]
    assert report["failedCount"] == 2
    assert {key for key in installation.stored() if key.startswith(("originals/", "trash/"))} >= {
        f"originals/{lost[0]}",
        f"trash/{lost[1]}",
    }


@pytest.mark.slow
def test_gc_dry_run_goes_on_after_a_refused_listing(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted(installation.upload(1, 2))
    installation.restore(installation.backup())
    for upload_id in (first, second):
        (installation.objects / "originals" / upload_id).unlink()
    for upload_id in (first, second):
        installation.run("purge", upload_id)
    for upload_id in (first, second):
        (installation.objects / "images" / upload_id).mkdir(parents=True)
        (installation.objects / "images" / upload_id / "tiny.jpg").write_bytes(b"{}\nx")
    installation.upload(3)
    installation.make_old()
    inner = DiskStore.list

    def refuse(store: DiskStore, prefix: str, **options: str) -> object:
        if first in prefix:
            raise StoreUnavailable("list is refused.")
        return inner(store, prefix, **options)

    monkeypatch.setattr(DiskStore, "list", refuse)

    report = installation.run("gc", "--dry-run", code=1)

    assert report["found"] == [{"kind": "variants without original", "name": second}]
    assert report["failed"] == [{"kind": "variants without original", "name": first, "reason": "list is refused."}]


@pytest.mark.slow
def test_purge_goes_on_after_a_refused_object(installation: Installation, refusals: Refusals) -> None:
    first, second = installation.upload(1, 2)
    refusals.add("delete", first)

    assert installation.run("purge", first, second, code=1) == {"purged": 1, "unknown": 0, **failed(first, "delete")}
    assert installation.ids() == {first.replace("-", "")}


@pytest.mark.slow
def test_readopt_goes_on_after_a_refused_object(installation: Installation, refusals: Refusals) -> None:
    installation.upload(1)
    backup = installation.backup()
    lost = sorted(installation.upload(2, 3))
    installation.restore(backup)
    refusals.add("head", f"originals/{lost[0]}")

    report = installation.run("readopt", code=1)

    assert report == {"readopted": lost[1:], "known": 0, **failed(lost[0], "head")}


@pytest.mark.slow
def test_long_outage_ends_a_command(installation: Installation, refusals: Refusals, slept: list[float]) -> None:
    first, second = sorted(installation.upload(1, 2))
    (installation.folder / "darkroom.toml").write_text(TINY.replace("24", "25"))
    refusals.add("download", f"originals/{first}", is_outage=True)
    refusals.add("delete", f"originals/{first}", is_outage=True)

    for command in (["refresh"], ["purge", first, second]):
        slept.clear()
        done = installation.invoke(*command)
        assert done.exit_code == 1
        assert "Object store unavailable" in done.stderr
        assert sum(slept) == 300
    assert f"To continue, repeat the command with `--from {first}`." in installation.invoke("refresh").stderr
    assert len(installation.ids()) == 2


OUTAGES = {
    "refresh": ("download", {"uploads": 1, "variants": 3}),
    "warm --missing": ("download", {"complete": 1}),
    "gc --max-share 1": ("copy", {"removed": True}),
    "readopt": ("head", {"known": 0}),
    "purge": ("delete", {"purged": 1}),
}
"""Commands, the method of the store that meets an outage, and what they report afterwards."""


@pytest.mark.slow
@pytest.mark.parametrize("command", OUTAGES)
def test_command_goes_on_after_an_outage(
    installation: Installation, refusals: Refusals, slept: list[float], command: str
) -> None:
    method, expected = OUTAGES[command]
    [kept] = installation.upload(1)
    backup = installation.backup()
    lost = sorted(installation.upload(2, 3))
    installation.restore(backup)
    installation.make_old()
    stale = TINY.replace("24", "25") if command == "refresh" else TINY + "[sizes.mini]\nwidth = 12\n"
    (installation.folder / "darkroom.toml").write_text(stale)
    refusals.add(method, "originals/", is_outage=True, times=3)

    report = installation.run(*command.split(), *([kept] if command == "purge" else []))

    assert {name: report[name] for name in expected} == expected
    assert report["failedCount"] == 0
    assert len(slept) == 3
    if command.startswith("gc"):
        assert sorted(one["name"] for one in report["found"]) == lost
    if command == "readopt":
        assert report["readopted"] == lost
