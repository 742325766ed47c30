"""The file's bytes are unchanged, whatever surrounds it and however it is chunked."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.uploads.multipart import file_field
from tests.unit.ingest.bodies import BOUNDARY, MULTIPART, Pieces, chunks_of, multipart, part, upload_body
from tests.unit.ingest.multipart.reading import FILE, MIB, NOISE, read
from tests.unit.ingest.tasks import at_once

SPLITS = [1, 7, None]


class TestBytes:
    @pytest.mark.heavy
    @pytest.mark.parametrize("split", SPLITS)
    @pytest.mark.parametrize("size", [0, 1, 11, 12, 100_000])
    async def test_file_bytes_are_unchanged(self, size: int, split: int | None) -> None:
        assert await read(upload_body(NOISE[:size]), split=split) == NOISE[:size]

    @pytest.mark.parametrize("split", SPLITS)
    @pytest.mark.parametrize(
        "file",
        [
            b"\r\n",
            b"\r\n--",
            f"\r\n--{BOUNDARY}".encode()[:-1],
            f"--{BOUNDARY}--\r\n".encode(),
            f"\r\n--{BOUNDARY[:-1]}X\r\n".encode(),
            f"\r\r\n\r\n--{BOUNDARY}Z".encode(),
            b"\r\n\r\nContent-Disposition: form-data; name=other\r\n\r\n",
            b"\r" * 40,
            b"\n--\r\n--\r\n-",
        ],
    )
    async def test_near_boundaries_are_file_bytes(self, file: bytes, split: int | None) -> None:
        assert await read(upload_body(file), split=split) == file

    @pytest.mark.parametrize("split", SPLITS)
    async def test_other_fields_may_come_before_and_after(self, split: int | None) -> None:
        body = multipart(
            part('name="title"', b"A picture"),
            part('name="other"; filename="b.jpg"', NOISE[:500]),
            part(FILE, NOISE[:1000], "Content-Type: text/html", "X-More: yes"),
            part('name="empty"'),
            part('name="Image"; filename="c.jpg"', b"another case is another name"),
        )
        assert await read(body, split=split) == NOISE[:1000]

    @pytest.mark.promise("B7")
    async def test_nested_multipart_is_file_bytes(self) -> None:
        inner = b'--inner\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nX\r\n--inner--\r\n'
        file = part(FILE, inner, "Content-Type: multipart/mixed; boundary=inner")

        assert await read(multipart(file)) == inner

    async def test_chunks_are_streamed_immediately(self) -> None:
        head, end = upload_body(b"|").split(b"|")
        body = Pieces([head, *[b"x" * 1000] * 50, end])
        chunks = file_field(aiter(body), MULTIPART, "image", MIB)

        assert await anext(chunks) == b"x" * 1000
        assert body.taken == 2
        assert [len(chunk) async for chunk in chunks] == [1000] * 49

    async def test_no_chunk_is_empty(self) -> None:
        chunks = file_field(chunks_of(upload_body(b"abc"), 1), MULTIPART, "image", MIB)

        assert all([chunk async for chunk in chunks])

    @pytest.mark.parametrize("after", [b"", b"\r\n", b"\r\nan epilogue\r\n--not-a-boundary\r\n"])
    async def test_epilogue_is_ignored(self, after: bytes) -> None:
        body = upload_body(b"picture").removesuffix(b"\r\n") + after

        assert await read(body) == b"picture"

    @pytest.mark.parametrize("split", SPLITS)
    @pytest.mark.parametrize(
        "preamble",
        [
            b"\r\n\r\n",
            b"This is a multi-part message in MIME format.\r\n\r\n",
            f"-\r\n--{BOUNDARY[:-1]}\r\n--{BOUNDARY[:-1]}Z -\r\n not --{BOUNDARY}\r\n".encode(),
            NOISE[:10_000] + b"\r\n",
        ],
    )
    async def test_preamble_is_ignored(self, preamble: bytes, split: int | None) -> None:
        assert await read(preamble + upload_body(b"picture"), split=split) == b"picture"

    async def test_blanks_after_a_boundary_are_accepted(self) -> None:
        line = f"--{BOUNDARY}".encode()
        other = part('name="a"', b"b")

        assert await read(other + part(FILE, b"picture").replace(line, line + b" \t") + multipart()) == b"picture"


@given(file=st.binary(max_size=300), cuts=st.lists(st.integers(0, 700), max_size=20), before=st.booleans())
def test_chunking_does_not_change_the_file(file: bytes, cuts: list[int], before: bool) -> None:
    other = part('name="a"', b"b")
    body = multipart(*([other] if before else []), part(FILE, file), other)
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    pieces = [body[start:end] for start, end in pairwise(edges)]

    assert at_once(read(pieces)) == file
