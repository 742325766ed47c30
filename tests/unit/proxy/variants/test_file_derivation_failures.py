"""Failures of derivations, shared by the processes of one machine."""

import os
import time
from pathlib import Path

import pytest

from proxy.services import open_shared_failures
from proxy.settings import Settings
from proxy.variants.derivation_pauses import DerivationFailures
from proxy.variants.file_derivation_failures import FileFailures

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTRY = DerivationFailures(3, 1_900_000_000)


async def test_entries_are_shared_by_processes_of_one_data_folder_and_deleted(tmp_path: Path) -> None:
    one, other = (open_shared_failures(Settings(data_dir=tmp_path)) for _ in range(2))
    await one.put("a", ENTRY)

    assert await other.get(["a", "b"]) == [ENTRY, None]
    await other.delete("a")
    assert await one.get(["a"]) == [None]


@pytest.mark.parametrize(("age", "known"), [(3500, [ENTRY]), (3700, [None])])
async def test_entries_expire_after_an_hour(age: int, known: list[DerivationFailures | None], tmp_path: Path) -> None:
    failures = FileFailures(tmp_path)
    await failures.put("a", ENTRY)
    [file] = tmp_path.iterdir()
    os.utime(file, (time.time() - age,) * 2)

    assert await failures.get(["a"]) == known


async def test_unreadable_entry_is_unknown(tmp_path: Path) -> None:
    failures = FileFailures(tmp_path)
    await failures.put("a", ENTRY)
    [file] = tmp_path.iterdir()
    file.write_bytes(b"\xff")  # for instance after a power cut

    assert await failures.get(["a"]) == [None]


async def test_folder_that_is_a_file_raises_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failures = FileFailures(tmp_path / "file")

    await failures.put("a", ENTRY)
    await failures.delete("a")

    assert await failures.get(["a"]) == [None]
