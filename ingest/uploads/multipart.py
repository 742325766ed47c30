"""Streams one file field out of a multipart body, and reads its text fields, with limits on every part.

Starlette's `form()` does not limit files and treats a body without closing boundary as an empty form. So this drives
Starlette's parser (python-multipart, which limits headers) directly.
"""

import re
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ingest.ingest_errors import InvalidField, Malformed, MissingImage, TooLarge
from ingest.uploads.upload_fields import FIELDS, MAX_VALUE, UploadFields, unknown_field

if TYPE_CHECKING:  # needed by the type checker alone
    from python_multipart.multipart import MultipartCallbacks

MAX_PARTS = 64
MAX_OTHER_BYTES = 64 * 1024
"""Limit for everything except the file: other fields, headers, boundaries, preamble, epilogue."""

_EXTENDED_FILENAME = re.compile(rb";\s*filename\*", re.IGNORECASE)
"""RFC 5987 and 2231: `filename*=` and `filename*0=`. RFC 7578 forbids them here, but `requests` sends nothing else for
a name that is not ASCII. What the name is does not matter: it is not read."""

_FILE_TYPES = (b"image/", b"application/octet-stream")
"""Content types of a file that has no name, as of `curl -F image=<photo.jpg`."""


async def file_field(
    body: AsyncIterator[bytes], content_type: str, field: str, max_bytes: int, fields: UploadFields | None = None
) -> AsyncIterator[bytes]:
    """Yields the bytes of the file part named `field`. Ends once the whole body was read and is well-formed.

    `fields` gets the other fields; without it, they are ignored. Raises Malformed, MissingImage, UnknownField,
    InvalidField, or TooLarge as soon as the file exceeds `max_bytes`.
    """
    media_type, options = parse_options_header(content_type)
    if media_type != b"multipart/form-data":
        raise MissingImage(f"Send multipart/form-data with the image in the file field `{field}`.")
    if not options.get(b"boundary"):
        raise MissingImage(
            "Content-Type names no boundary between the parts. Do not set this header yourself: the HTTP client does."
        )
    parts = _Parts(field, max_bytes, fields)
    try:
        parser = MultipartParser(options[b"boundary"], parts.callbacks())
        preamble = _Preamble(options[b"boundary"])
        async for data in body:
            parser.write(preamble.skip(data))
            parts.count_bytes(len(data))
            if chunk := parts.pop_bytes():
                yield chunk
        parser.finalize()
    except FormParserError as error:
        raise Malformed(
            "The multipart body is malformed. Let the HTTP client write it, or end each of its lines with CR LF."
        ) from error
    if not preamble.has_ended:
        raise Malformed("The body has no boundary as Content-Type names it. Let the HTTP client write both.")
    if not parts.has_ended:
        raise Malformed("The body ends before its closing boundary. Send it again.")
    if not parts.found:
        raise parts.missing_image()


class _Preamble:
    """Text before the first boundary. It means nothing (RFC 2046, section 5.1.1), and the parser does not accept it."""

    def __init__(self, boundary: bytes) -> None:
        self._line_begin = re.compile(rb"[\r\n]--" + re.escape(boundary))
        self._length = len(boundary) + len("\n--")
        self._text = bytearray(b"\n")
        self.has_ended = False

    def skip(self, data: bytes) -> bytes:
        """Returns `data` from the first boundary on. Raises Malformed if a part comes before it.

        The boundary of that part is damaged. Without the part, an upload that should be private would be public.
        """
        if self.has_ended:
            return data
        searched = max(0, len(self._text) - self._length)
        self._text += data
        if not (first := self._line_begin.search(self._text, searched)):
            return b""
        self.has_ended = True
        if b"content-disposition" in self._text[: first.start()].lower():
            raise Malformed("A part of the body comes before the first boundary. Begin each part with the boundary.")
        return bytes(self._text[first.start() + 1 :])


class _Parts:
    """The parser's callbacks. Holds the file's bytes of one write, and the headers or the text of one part."""

    def __init__(self, field: str, max_bytes: int, fields: UploadFields | None) -> None:
        self._field = field.encode()
        self._max_bytes = max_bytes
        self._fields = fields
        self._text_name: str | None = None
        self._unknown: str | None = None
        self._text = b""
        self._file_bytes = self._body_bytes = self._part_count = 0
        self._name = self._value = b""
        self._disposition = self._content_type = b""
        self._wanted = False
        self._chunks: list[bytes] = []
        self.found = self.has_ended = False

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._on_part_begin,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }

    def pop_bytes(self) -> bytes:
        chunk, self._chunks = b"".join(self._chunks), []
        return chunk

    def count_bytes(self, size: int) -> None:
        self._body_bytes += size
        if self._body_bytes - self._file_bytes > MAX_OTHER_BYTES:
            if not self.found:
                raise self.missing_image()
            raise Malformed(
                f"The request has more than {MAX_OTHER_BYTES // 1024} KiB besides the image. Send fewer fields."
            )

    def missing_image(self) -> MissingImage:
        return MissingImage(f"Put the image in a file field named `{self._field.decode()}`, before any large field.")

    def _on_part_begin(self) -> None:
        self._part_count += 1
        self._wanted, self._text_name, self._text = False, None, b""
        self._disposition = self._content_type = b""
        if self._part_count > MAX_PARTS:
            raise Malformed(f"The request has more than {MAX_PARTS} parts.")

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        name = self._name.lower()
        if name == b"content-disposition":
            self._disposition = self._value
        elif name == b"content-type":
            self._content_type = self._value.lower()
        self._name = self._value = b""

    def _on_headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        if (name := options.get(b"name")) != self._field:
            self._on_other_field(name)
            return
        has_filename = b"filename" in options or _EXTENDED_FILENAME.search(self._disposition)
        if not has_filename and not self._content_type.startswith(_FILE_TYPES):
            raise MissingImage(
                f"The field `{self._field.decode()}` is text. Send the image as a file, with its name or as `image/…`."
            )
        if self.found:
            raise Malformed(f"The request has two `{self._field.decode()}` fields. Send one image per request.")
        self._wanted = self.found = True
        self._refuse_unknown()

    def _on_other_field(self, name: bytes | None) -> None:
        if self._fields is None or name is None:
            return
        text = name.decode(errors="replace")
        if self._fields.has(text):
            self._text_name = text
        else:
            self._unknown = text
            self._refuse_unknown()

    def _refuse_unknown(self) -> None:
        """Refuses an unknown field once the image was found: without an image, the request is `missing_image`."""
        if self.found and self._unknown is not None:
            raise unknown_field(self._unknown, (self._field.decode(), *FIELDS))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._wanted:
            self._file_bytes += end - start
            if self._file_bytes > self._max_bytes:
                raise too_large(self._max_bytes)
            self._chunks.append(data[start:end])
        elif self._text_name is not None:
            self._text += data[start:end]
            if len(self._text) > MAX_VALUE:
                raise InvalidField(f"`{self._text_name}` may have at most {MAX_VALUE} bytes.")

    def _on_part_end(self) -> None:
        if self._fields is not None and self._text_name is not None:
            self._fields.set(self._text_name, self._text)

    def _on_end(self) -> None:
        self.has_ended = True


def too_large(max_bytes: int) -> TooLarge:
    limit = f"{max_bytes} bytes" if max_bytes % (1 << 20) else f"{max_bytes >> 20} MB"
    return TooLarge(f"The image may have at most {limit}. Scale it down or compress it more.")
