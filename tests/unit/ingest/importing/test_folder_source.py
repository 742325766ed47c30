"""Which files of a folder are imported, under which names, and what is said of the others."""

import os
from pathlib import Path

import pytest

from ingest.importing.folder_source import FolderSource
from ingest.importing.import_sources import InvalidSource, LeftOut, Outcome, Source, SourceProblem, read_file
from ingest.ingest_errors import TooLarge


def folder_of(path: Path, name: str | None = None) -> FolderSource:
    return FolderSource(path, name, {"owner": "shop"}, path / "data")


async def listed(path: Path, name: str | None = None) -> dict[str, str]:
    """What is said of each entry: `source`, or why it is none."""
    source = folder_of(path, name)
    entries = [entry async for entry in source.entries()]
    assert await source.count() == len(entries)
    return {entry.name: "source" if isinstance(entry, Source) else entry.code for entry in entries}


async def read(path: Path, max_bytes: int = 100) -> bytes:
    return b"".join([chunk async for chunk in read_file(path, max_bytes)])


async def test_files_of_all_folders_are_sources_and_others_are_named(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.jpg").write_bytes(b"secret")
    root = tmp_path / "photos"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "deep.jpg").write_bytes(b"deep")
    (root / "top.jpg").write_bytes(b"top")
    (root / ".hidden.jpg").write_bytes(b"hidden")
    (root / ".git").mkdir()
    (root / ".git" / "object").write_bytes(b"in a hidden folder")
    (root / "link.jpg").symlink_to(outside / "secret.jpg")
    (root / "inside.jpg").symlink_to(root / "top.jpg")
    (root / "folder").symlink_to(outside)
    (root / "data").mkdir()
    (root / "data" / "original").write_bytes(b"an upload's original")
    os.mkfifo(root / "pipe")

    assert await listed(root) == {
        f"{root}/top.jpg": "source",
        f"{root}/a/b/deep.jpg": "source",
        f"{root}/.hidden.jpg": "hidden",
        f"{root}/.git": "hidden",
        f"{root}/link.jpg": "symbolic_link",
        f"{root}/inside.jpg": "symbolic_link",
        f"{root}/folder": "symbolic_link",
        f"{root}/data": "data_folder",
        f"{root}/pipe": "special_file",
    }


async def test_source_has_the_size_and_the_fields_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"four")

    [source] = [entry async for entry in folder_of(tmp_path).entries()]

    assert isinstance(source, Source)
    assert (source.identity, source.size, source.fields) == (f"{tmp_path}/a.jpg", 4, {"owner": "shop"})
    async with source.open() as path:
        assert await read(path) == b"four"


async def test_name_replaces_the_path_so_that_a_moved_folder_keeps_its_identities(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a.jpg").write_bytes(b"a")

    assert await listed(tmp_path / "new", f"{tmp_path}/old") == await listed(tmp_path / "old")
    assert await listed(tmp_path / "new", "photos") == {"photos/sub/a.jpg": "source"}


async def test_path_through_a_link_or_from_above_gives_the_same_identity(tmp_path: Path) -> None:
    (tmp_path / "photos" / "sub").mkdir(parents=True)
    (tmp_path / "photos" / "sub" / "a.jpg").write_bytes(b"a")
    (tmp_path / "link").symlink_to(tmp_path / "photos")

    identity = {f"{tmp_path}/photos/sub/a.jpg": "source"}
    assert await listed(tmp_path / "link") == identity
    assert await listed(tmp_path / "photos" / "sub") == identity


async def test_name_that_is_not_utf_8_is_kept(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"a")

    assert await listed(tmp_path) == {f"{tmp_path}/{name}": "source"}


async def test_unreadable_subfolder_is_reported_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def denied(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", denied)

    [entry] = [entry async for entry in folder_of(tmp_path).entries()]
    assert entry == LeftOut(f"{tmp_path}/closed", Outcome.FAILED, "unreadable", "It cannot be read: Permission denied.")


async def test_folder_within_data_dir_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data" / "objects").mkdir(parents=True)

    for inside in ("data", "data/objects"):
        with pytest.raises(InvalidSource, match="within the DATA_DIR"):
            FolderSource(tmp_path / inside, None, {}, tmp_path / "data")


async def test_missing_folder_stops_the_import(tmp_path: Path) -> None:
    with pytest.raises(InvalidSource, match="cannot be read: No such file or directory"):
        await folder_of(tmp_path / "gone").count()


class TestReadFile:
    async def test_file_beyond_the_limit_is_too_large(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").write_bytes(bytes(101))

        with pytest.raises(TooLarge):
            await read(tmp_path / "a.jpg")

    async def test_file_that_became_a_link_or_a_pipe_is_not_opened(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_bytes(b"secret")
        (tmp_path / "link").symlink_to(tmp_path / "secret")
        os.mkfifo(tmp_path / "pipe")

        with pytest.raises(SourceProblem, match="Too many levels of symbolic links"):
            await read(tmp_path / "link")
        with pytest.raises(SourceProblem, match="not a regular file") as refused:
            await read(tmp_path / "pipe")
        assert (refused.value.code, refused.value.outcome) == ("special_file", Outcome.REFUSED)

    async def test_missing_file_fails_with_the_reason(self, tmp_path: Path) -> None:
        with pytest.raises(SourceProblem, match="cannot be read: No such file or directory") as failed:
            await read(tmp_path / "gone.jpg")
        assert (failed.value.code, failed.value.outcome) == ("unreadable", Outcome.FAILED)
