"""Objects of a bucket as sources. `tests/integration/test_import.py` reads a real one."""

from pathlib import Path

import pytest

from ingest.importing.import_run import ImportOptions, open_sources
from ingest.importing.import_sources import InvalidSource, LeftOut, Outcome, Source, SourceProblem
from ingest.importing.s3_source import S3Source
from ingest.ingest_errors import TooLarge
from proxy.errors import StoreUnavailable
from proxy.settings import Settings
from tests.fakes import CountingStore


@pytest.fixture
async def bucket() -> CountingStore:
    bucket = CountingStore()
    for key, body in {"photos/": b"", "photos/a.jpg": b"aaaa", "photos/b/c.jpg": b"c", "videos/d.mp4": b"d"}.items():
        await bucket.inner.put(key, body, content_type="image/jpeg")
    return bucket


def source_of(bucket: CountingStore, folder: Path, name: str | None = None) -> S3Source:
    return S3Source(bucket, "media", "photos/", name, {"owner": "shop"}, temporary=folder / "tmp", max_bytes=3)


async def listed(source: S3Source) -> dict[str, Source | LeftOut]:
    entries = {entry.name: entry async for entry in source.entries()}
    assert await source.count() == len(entries)
    return entries


async def test_objects_below_the_prefix_are_sources_and_folder_markers_are_not(
    bucket: CountingStore, tmp_path: Path
) -> None:
    entries = await listed(source_of(bucket, tmp_path))

    assert {name: type(entry) for name, entry in entries.items()} == {
        "s3://media/photos/": LeftOut,
        "s3://media/photos/a.jpg": Source,
        "s3://media/photos/b/c.jpg": Source,
    }
    marker, first = entries["s3://media/photos/"], entries["s3://media/photos/a.jpg"]
    assert isinstance(marker, LeftOut)
    assert (marker.outcome, marker.code) == (Outcome.IGNORED, "folder_marker")
    assert isinstance(first, Source)
    assert (first.identity, first.size, first.fields) == ("s3://media/photos/a.jpg", 4, {"owner": "shop"})


async def test_name_replaces_bucket_and_prefix(bucket: CountingStore, tmp_path: Path) -> None:
    assert [*await listed(source_of(bucket, tmp_path, "/mnt/old/"))] == [
        "/mnt/old/",
        "/mnt/old/a.jpg",
        "/mnt/old/b/c.jpg",
    ]


async def test_object_is_downloaded_when_it_is_opened_unless_it_is_too_large(
    bucket: CountingStore, tmp_path: Path
) -> None:
    entries = await listed(source_of(bucket, tmp_path))
    large, small = entries["s3://media/photos/a.jpg"], entries["s3://media/photos/b/c.jpg"]
    assert isinstance(large, Source)
    assert isinstance(small, Source)
    assert bucket.count("download") == 0

    async with small.open() as path:
        assert path.read_bytes() == b"c"
    with pytest.raises(TooLarge):
        async with large.open():
            pass

    assert bucket.count("download") == 1
    assert [*(tmp_path / "tmp").iterdir()] == []


async def test_object_that_cannot_be_read_fails_and_an_outage_stops(bucket: CountingStore, tmp_path: Path) -> None:
    small = (await listed(source_of(bucket, tmp_path)))["s3://media/photos/b/c.jpg"]
    assert isinstance(small, Source)

    bucket.fail("download")
    with pytest.raises(SourceProblem, match="The object cannot be read"):
        async with small.open():
            pass
    bucket.fail("download", is_outage=True)
    with pytest.raises(StoreUnavailable):
        async with small.open():
            pass
    await bucket.inner.delete("photos/b/c.jpg")
    with pytest.raises(SourceProblem, match="was deleted since it was listed"):
        async with small.open():
            pass


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("s3://", "The bucket's name is missing"),
        ("s3:///photos", "The bucket's name is missing"),
        ("s3://media", "keeps its objects below site/originals/"),
        ("s3://media/site/", "keeps its objects below site/originals/"),
        ("s3://media/site/images/8f", "keeps its objects below site/images/"),
        ("gone", "gone is no folder and no file"),
        ("https://example.com/a.jpg", "URLs go into a CSV"),
    ],
)
async def test_impossible_source_is_refused(tmp_path: Path, source: str, message: str) -> None:
    settings = Settings(data_dir=tmp_path, s3_bucket="media", s3_prefix="site/")

    with pytest.raises(InvalidSource, match=message):
        async with open_sources(settings, ImportOptions(source)):
            pass


async def test_other_part_of_the_own_bucket_can_be_imported(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, s3_bucket="media", s3_prefix="site/", aws_region="eu-central-1")

    async with open_sources(settings, ImportOptions("s3://media/incoming/")) as sources:
        assert isinstance(sources, S3Source)
