"""One file field out of a multipart body, as a stream: never whole in memory, and bounded in every part.

Starlette's `form()` puts no limit to files and takes a body without its closing boundary for an empty form; so this
drives the parser that Starlette itself uses (python-multipart, which bounds headers) directly.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ingest.errors import Malformed, MissingImage, TooLarge

if TYPE_CHECKING:  # its shape, for the type checker alone
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 64
MAX_OTHER_BYTES = 64 * 1024
"""All that is not the file: other fields, headers, boundaries."""


async def file_field(body: AsyncIterator[bytes], content_type: str, field: str, max_bytes: int) -> AsyncIterator[bytes]:
    """The bytes of the one file part named `field`, in chunks; ends only once the whole body was read and sound.

    Raises Malformed, MissingImage, or TooLarge as soon as the file passes `max_bytes`.
    """
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise MissingImage(f"Send multipart/form-data with the picture in the file field `{field}`.")
    parts = _Parts(field, max_bytes)
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        async for data in body:
            parser.write(data)
            parts.charge(len(data))
            if chunk := parts.take():
                yield chunk
        parser.finalize()
    except FormParserError as error:
        raise Malformed("The multipart body is broken.") from error
    if not parts.ended:
        raise Malformed("The body ends before its closing boundary. Send it again.")
    if not parts.found:
        raise parts.missing()


class _Parts:
    """What the parser calls. Keeps the file's bytes of one write, and the headers of one part."""

    def __init__(self, field: str, max_bytes: int) -> None:
        self._field = field.encode()
        self._max_bytes = max_bytes
        self._file_bytes = self._body_bytes = self._count = 0
        self._name = self._value = b""
        self._disposition = b""
        self._wanted = False
        self._chunks: list[bytes] = []
        self.found = self.ended = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def take(self) -> bytes:
        chunk, self._chunks = b"".join(self._chunks), []
        return chunk

    def charge(self, size: int) -> None:
        self._body_bytes += size
        if self._body_bytes - self._file_bytes > MAX_OTHER_BYTES:
            if not self.found:
                raise self.missing()
            raise Malformed(f"The request holds more than {MAX_OTHER_BYTES // 1024} KiB besides the picture.")

    def missing(self) -> MissingImage:
        return MissingImage(
            f"Put the picture into a file field named `{self._field.decode()}`, before any other field that is large."
        )

    def _begin(self) -> None:
        self._count += 1
        self._wanted, self._disposition = False, b""
        if self._count > MAX_PARTS:
            raise Malformed(f"The request has more than {MAX_PARTS} parts.")

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self._disposition = self._value
        self._name = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if options.get(b"name") != self._field:
            return
        if b"filename" not in options:
            raise MissingImage(f"The field `{self._field.decode()}` is text. Send the picture as a file.")
        if self.found:
            raise Malformed(f"Send one picture for each request; there are two `{self._field.decode()}` fields.")
        self._wanted = self.found = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._file_bytes += end - start
            if self._file_bytes > self._max_bytes:
                raise too_large(self._max_bytes)
            self._chunks.append(data[start:end])

    def _end(self) -> None:
        self.ended = True


def too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The picture may have at most {max_bytes >> 20} MB. Scale it down or compress it more.")
