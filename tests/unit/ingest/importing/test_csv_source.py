"""A CSV of sources: its header, its lines, and messages that name the line."""

from pathlib import Path
from typing import Any

import pytest

from ingest.importing.csv_source import CsvSource
from ingest.importing.import_sources import Entry, InvalidSource, LeftOut, Outcome, Source
from ingest.importing.url_download import UrlDownloader
from proxy.model import Visibility


def csv_of(folder: Path, body: bytes | str, name: str | None = None, **options: Any) -> CsvSource:
    (folder / "list.csv").write_bytes(body if isinstance(body, bytes) else body.encode())
    downloader = UrlDownloader(allow_private=False, max_bytes=1, temporary=folder / "tmp")
    fields = options.pop("fields", {})
    return CsvSource(folder / "list.csv", name, fields, downloader, **options)


async def entries_of(source: CsvSource) -> list[Entry]:
    entries = [entry async for entry in source.entries()]
    assert await source.count() == len(entries)
    return entries


async def sources_of(source: CsvSource) -> list[Source]:
    entries = await entries_of(source)
    assert all(isinstance(entry, Source) for entry in entries), entries
    return [entry for entry in entries if isinstance(entry, Source)]


async def test_lines_become_sources_with_their_fields(tmp_path: Path) -> None:
    body = (
        "externalId,source,owner,visibility,focus\n"
        'x-1,"a, b.jpg",shop,private,"0.3,0.7"\n'
        "x-2,sub/c.jpg,,,\n"
        "\n"
        ',/mnt/d.jpg,"say ""hi""",,\n'
    )

    first, second, third = await sources_of(csv_of(tmp_path, body, fields={"owner": "all"}))

    assert (first.name, first.identity, first.line) == ("a, b.jpg", f"{tmp_path}/a, b.jpg", 2)
    assert first.fields == {
        "externalId": "x-1",
        "owner": "shop",
        "visibility": Visibility.PRIVATE,
        "focus": "0.3,0.7",
    }
    assert (second.identity, second.line, second.fields) == (
        f"{tmp_path}/sub/c.jpg",
        3,
        {"externalId": "x-2", "owner": "all"},
    )
    assert (third.identity, third.line, third.fields) == ("/mnt/d.jpg", 5, {"owner": 'say "hi"'})


@pytest.mark.parametrize("body", [b"\xef\xbb\xbfsource,owner\r\na.jpg,me\r\n", b"source,owner\na.jpg,me"])
async def test_byte_order_mark_and_line_endings_of_windows_are_accepted(tmp_path: Path, body: bytes) -> None:
    [source] = await sources_of(csv_of(tmp_path, body))

    assert (source.name, source.fields) == ("a.jpg", {"owner": "me"})


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("", "cannot be read|must name the columns"),
        ("path,owner", "among them `source`"),
        ("source;externalId;owner", "among them `source`"),
        ("source,Owner", "has a column 'Owner'"),
        ("source,owner,", "has a column ''"),
        ("source,owner,owner", "two columns `owner`"),
        ('source,"owner', "The first line of the CSV cannot be read"),
        (b"source,\xff", "It is not UTF-8"),
    ],
)
def test_wrong_header_is_refused_before_anything_is_imported(tmp_path: Path, header: bytes | str, message: str) -> None:
    with pytest.raises(InvalidSource, match=message):
        csv_of(tmp_path, header + (b"\na.jpg,me\n" if isinstance(header, bytes) else "\na.jpg,me\n"))


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        ("a.jpg", "invalid_line", "Line 2: It has 1 values, but the header has 2."),
        ("a.jpg,me,more", "invalid_line", "Line 2: It has 3 values"),
        ('"a.jpg,me', "invalid_line", "Line 2: It is not CSV."),
        (b"caf\xe9.jpg,me", "invalid_line", "Line 2: It is not UTF-8."),
        (",me", "invalid_line", "Line 2: `source` must be"),
        ("a\0.jpg,me", "invalid_line", "Line 2: "),
        (f"{'a' * 70_000}.jpg,me", "invalid_line", "Line 2: It has more than 65536 bytes."),
        ("a.jpg,\x07", "invalid_field", "Line 2: `owner` must be"),
        (f"a.jpg,{'x' * 129}", "invalid_field", "Line 2: `owner` must be"),
        ("ftp://example.com/a.jpg,me", "invalid_url", "Line 2: Only http"),
        ("s3://bucket/a.jpg,me", "invalid_url", "Line 2: Only http"),
        ("https:///a.jpg,me", "invalid_url", "Line 2: It is not a URL."),
        ("https://example.com:x/a.jpg,me", "invalid_url", "Line 2: It is not a URL."),
        ("https://me:secret@example.com/a.jpg,me", "invalid_url", "Line 2: It contains a user name or password"),
    ],
)
async def test_wrong_line_is_refused_by_number_and_the_next_is_read(
    tmp_path: Path, line: bytes | str, code: str, message: str
) -> None:
    text = line if isinstance(line, bytes) else line.encode()

    refused, good = await entries_of(csv_of(tmp_path, b"source,owner\n" + text + b"\nb.jpg,me\n"))

    assert isinstance(refused, LeftOut)
    assert (refused.outcome, refused.code, refused.line) == (Outcome.REFUSED, code, 2)
    assert refused.detail.startswith(message)
    assert "secret" not in refused.name + refused.detail
    assert isinstance(good, Source)
    assert (good.name, good.line) == ("b.jpg", 3)


async def test_name_replaces_the_folder_of_relative_paths_only(tmp_path: Path) -> None:
    body = "source\nsub/../a.jpg\n/mnt/b.jpg\nhttps://example.com/c.jpg\n"

    sources = await sources_of(csv_of(tmp_path, body, name="photos"))

    assert [source.identity for source in sources] == ["photos/a.jpg", "/mnt/b.jpg", "https://example.com/c.jpg"]


async def test_urls_of_one_place_have_one_identity(tmp_path: Path) -> None:
    urls = ("https://Example.com:443/a.jpg?v=1#top", "HTTPS://example.com/a.jpg?v=1", "https://example.com/a.jpg?v=2")
    body = "\n".join(["source", *urls])

    with_query = await sources_of(csv_of(tmp_path, body))
    without = await sources_of(csv_of(tmp_path, body, ignore_query=True))

    one, other = "https://example.com/a.jpg?v=1", "https://example.com/a.jpg?v=2"
    assert [source.identity for source in with_query] == [one, one, other]
    assert {source.identity for source in without} == {"https://example.com/a.jpg"}
    assert [source.name for source in with_query] == [*urls]
