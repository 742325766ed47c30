"""A CSV as the source of an import: paths and URLs, with the fields of their uploads.

Each line is parsed alone: a mistake in one line concerns no other, and every message has the line's number. So no value
may contain a line break.
"""

import codecs
import csv
import os
import re
from collections.abc import AsyncGenerator, Generator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import anyio.to_thread

from ingest.importing.import_sources import Entry, InvalidSource, LeftOut, Outcome, Source, in_thread, local_file
from ingest.importing.url_download import InvalidUrl, UrlDownloader, canonical_url, is_url
from ingest.uploads.upload_fields import FIELDS, UploadFields
from proxy.errors import Refused

SOURCE = "source"
_MAX_LINE = 64 * 1024  # bytes; far more than the fields may have together
_EXAMPLE = f"Begin with a line such as: {SOURCE},externalId,owner"


class CsvSource:
    """Reads a CSV of any number of lines in little memory."""

    def __init__(
        self,
        file: Path,
        name: str | None,
        fields: Mapping[str, Any],
        downloader: UrlDownloader,
        *,
        ignore_query: bool = False,
    ) -> None:
        """`name`: begins the identities of relative paths, not the CSV's folder. `fields`: for lines that lack them.

        `ignore_query`: the query is no part of a URL's identity. Raises InvalidSource for a wrong header.
        """
        self._file = file
        self._folder = os.path.realpath(file.parent)
        self._name = self._folder if name is None else name
        self._fields = fields
        self._downloader = downloader
        self._ignore_query = ignore_query
        with self._opened() as opened:
            self._header = _read_header(opened)

    async def count(self) -> int:
        return await anyio.to_thread.run_sync(lambda: sum(1 for _ in self._lines()))

    async def entries(self) -> AsyncGenerator[Entry]:
        async for number, line in in_thread(self._lines()):
            yield self._parse(number, line)

    def _lines(self) -> Generator[tuple[int, bytes]]:
        """Yields lines with their numbers, without the header and empty ones. Cuts a line that is too long."""
        with self._opened() as opened:
            opened.readline(_MAX_LINE + 1)
            number = 1
            while line := opened.readline(_MAX_LINE + 1):
                number += 1
                rest = line
                while rest and not rest.endswith(b"\n") and len(rest) > _MAX_LINE:
                    rest = opened.readline(_MAX_LINE + 1)
                if line.strip():
                    yield number, line

    def _opened(self) -> BinaryIO:
        try:
            return self._file.open("rb")
        except OSError as error:
            raise InvalidSource(f"{self._file} cannot be read: {error.strerror}.") from error

    def _parse(self, number: int, line: bytes) -> Entry:
        name = ""
        try:
            row = self._row(line)
            name = row.pop(SOURCE)
            fields = UploadFields()
            for column, value in row.items():
                fields.set(column, value.encode())
            return self._source(name, number, {**self._fields, **fields.values})
        except (_InvalidLineError, InvalidUrl, Refused) as error:
            shown = re.sub("(?<=://)[^/?#]*@", "(hidden)@", name)  # a password in a URL that is refused for it
            return LeftOut(shown, Outcome.REFUSED, error.code, f"Line {number}: {error}", number)

    def _row(self, line: bytes) -> dict[str, str]:
        """Returns the values of a line by column. Raises _InvalidLineError."""
        cells = _cells(line)
        if len(cells) != len(self._header):
            raise _InvalidLineError(
                "invalid_line", f"It has {len(cells)} values, but the header has {len(self._header)}."
            )
        return dict(zip(self._header, cells, strict=True))

    def _source(self, name: str, number: int, fields: Mapping[str, Any]) -> Source:
        """Returns the source that a line names. Raises InvalidUrl or _InvalidLineError."""
        if is_url(name):
            identity = canonical_url(name, with_query=not self._ignore_query)
            return Source(name, identity, self._downloader.open(name), fields, number)
        if not name or "\0" in name:
            raise _InvalidLineError("invalid_line", f"`{SOURCE}` must be a path or a URL.")
        if "://" in name:
            raise _InvalidLineError("invalid_url", "Only http:// and https:// are supported.")
        path = os.path.normpath(Path(self._folder, name))
        identity = os.path.normpath(Path(self._name, name))  # of an absolute path, the path itself
        return Source(name, identity, local_file(path), fields, number)


class _InvalidLineError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _cells(line: bytes) -> list[str]:
    """Splits a line into its values. Raises _InvalidLineError."""
    if len(line) > _MAX_LINE:
        raise _InvalidLineError("invalid_line", f"It has more than {_MAX_LINE} bytes.")
    try:
        text = line.decode().rstrip("\r\n")
        [cells] = csv.reader([text], strict=True)
    except UnicodeDecodeError:
        raise _InvalidLineError("invalid_line", "It is not UTF-8.") from None
    except (csv.Error, ValueError):
        raise _InvalidLineError(
            "invalid_line",
            "It is not CSV. Put values with commas or quotes into double quotes, and write quotes in them twice. A "
            "value cannot contain a line break.",
        ) from None
    return cells


def _read_header(opened: BinaryIO) -> list[str]:
    """Returns the names of the columns. Raises InvalidSource."""
    try:
        header = _cells(opened.readline(_MAX_LINE + 1).removeprefix(codecs.BOM_UTF8))
    except _InvalidLineError as error:
        raise InvalidSource(f"The first line of the CSV cannot be read. {error} {_EXAMPLE}") from None
    if SOURCE not in header:
        raise InvalidSource(f"The first line of the CSV must name the columns, among them `{SOURCE}`. {_EXAMPLE}")
    for column in header:
        if column != SOURCE and column not in FIELDS:
            known = ", ".join(f"`{each}`" for each in (SOURCE, *FIELDS))
            raise InvalidSource(f"The CSV has a column {column[:64]!r}. The columns may be {known}.")
        if header.count(column) > 1:
            raise InvalidSource(f"The CSV has two columns `{column}`. Remove one.")
    return header
