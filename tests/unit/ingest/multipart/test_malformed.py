"""Malformed bodies are refused with a reason and never yield a partial file."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.ingest_errors import Malformed, MissingImage
from ingest.uploads.multipart import file_field
from proxy.errors import ServiceError
from tests.unit.ingest.bodies import BOUNDARY, MULTIPART, Pieces, multipart, part, upload_body
from tests.unit.ingest.multipart.reading import FILE, MIB, NOISE, read, refusal
from tests.unit.ingest.tasks import at_once


class TestNoMultipart:
    @pytest.mark.promise("B7")
    @pytest.mark.parametrize(
        "content_type",
        [
            "",
            "image/jpeg",
            "application/x-www-form-urlencoded",
            f"multipart/mixed; boundary={BOUNDARY}",
            f"application/json, multipart/form-data; boundary={BOUNDARY}",
        ],
    )
    async def test_other_content_type_is_refused_unread(self, content_type: str) -> None:
        body = Pieces([upload_body(b"picture")])

        with pytest.raises(MissingImage, match="multipart/form-data"):
            await anext(file_field(aiter(body), content_type, "image", MIB))

        assert body.taken == 0

    @pytest.mark.promise("B7")
    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary=""',
            "multipart/form-data; charset=utf-8",
        ],
    )
    async def test_missing_boundary_is_refused_unread(self, content_type: str) -> None:
        body = Pieces([upload_body(b"picture")])

        with pytest.raises(MissingImage, match="Content-Type names no boundary"):
            await anext(file_field(aiter(body), content_type, "image", MIB))

        assert body.taken == 0

    @pytest.mark.parametrize(
        "content_type",
        [
            f'multipart/form-data; boundary="{BOUNDARY}"',
            f"Multipart/Form-Data; BOUNDARY={BOUNDARY}",
            f"multipart/form-data; charset=utf-8; boundary={BOUNDARY}",
            f"multipart/form-data;boundary={BOUNDARY}",
        ],
    )
    async def test_boundary_spellings_are_accepted(self, content_type: str) -> None:
        assert await read(upload_body(b"picture"), content_type=content_type) == b"picture"

    @pytest.mark.parametrize("boundary", ["another", BOUNDARY[:-1], f"{BOUNDARY}x", "x" * 257])
    async def test_another_boundary_is_malformed(self, boundary: str) -> None:
        error = await refusal(upload_body(b"picture"), content_type=f"multipart/form-data; boundary={boundary}")

        assert type(error) is Malformed
        if boundary in {"another", f"{BOUNDARY}x"}:
            assert "no boundary as Content-Type names it" in str(error)

    async def test_no_parts_raise_missing_image(self) -> None:
        assert type(await refusal(multipart())) is MissingImage

    @pytest.mark.parametrize("body", [b"", b"\r\n"])
    async def test_empty_body_is_malformed(self, body: bytes) -> None:
        assert type(await refusal(body)) is Malformed

    @pytest.mark.parametrize("body", [b"{}", b"\x00" * 1000, NOISE[:1000], b"-" * 1000, b"\n" * 70_000])
    async def test_nonsense_is_refused(self, body: bytes) -> None:
        assert isinstance(await refusal(body), (Malformed, MissingImage))


class TestBroken:
    @pytest.mark.promise("B7")
    @pytest.mark.heavy
    @pytest.mark.parametrize("split", [1, None])
    def test_truncated_body_is_never_accepted(self, split: int | None) -> None:
        whole = multipart(part('name="a"', b"b"), part(FILE, b"picture", "Content-Type: image/png"), part('name="c"'))
        closed = len(whole) - len("\r\n")

        async def cut_everywhere() -> set[type[ServiceError]]:
            return {type(await refusal(whole[:end], split=split)) for end in range(closed)}

        assert at_once(cut_everywhere()) == {Malformed}

    def test_missing_byte_never_changes_the_image_silently(self) -> None:
        """If the framing loses a byte, framing bytes must not become part of the file."""
        whole = upload_body(b"picture")

        async def without(index: int) -> bytes:
            try:
                return await read(whole[:index] + whole[index + 1 :])
            except (Malformed, MissingImage):
                return b"refused"

        async def everywhere() -> set[bytes]:
            return {await without(index) for index in range(len(whole))}

        shorter = {b"picture"[:index] + b"picture"[index + 1 :] for index in range(7)}
        assert at_once(everywhere()) <= shorter | {b"picture", b"refused"}

    @pytest.mark.parametrize(
        "header",
        [
            b"no colon\r\n",
            b": no name\r\n",
            b"X-Broken: a\rb\r\n",
            b"X Y: z\r\n",
            b"\xff\xfe: z\r\n",
            b" folded: z\r\n",
        ],
    )
    async def test_broken_header_is_malformed(self, header: bytes) -> None:
        body = upload_body(b"picture").replace(b"Content-Type", header + b"Content-Type")

        assert type(await refusal(body)) is Malformed

    @pytest.mark.parametrize("split", [1, None])
    @pytest.mark.parametrize("damaged", [b"", BOUNDARY.encode(), f" --{BOUNDARY}".encode(), b"--x"])
    async def test_part_before_the_first_boundary_is_malformed(self, damaged: bytes, split: int | None) -> None:
        """Ignored as a preamble, it could be the one that makes the upload private."""
        private = part('name="visibility"', b"private").replace(f"--{BOUNDARY}".encode(), damaged, 1)

        error = await refusal(private + upload_body(b"picture"), split=split)

        assert type(error) is Malformed
        assert "before the first boundary" in str(error)

    async def test_part_without_headers_is_ignored(self) -> None:
        assert type(await refusal(f"--{BOUNDARY}\r\n\r\npicture\r\n--{BOUNDARY}--\r\n".encode())) is MissingImage

    async def test_part_without_headers_does_not_inherit_the_name(self) -> None:
        nameless = f"--{BOUNDARY}\r\n\r\na stray part\r\n".encode()

        assert await read(multipart(part(FILE, b"picture"), nameless)) == b"picture"

    async def test_exceptions_of_the_body_propagate(self) -> None:
        head = upload_body(b"picture")[:-20]

        with pytest.raises(ConnectionResetError):
            [
                chunk
                async for chunk in file_field(aiter(Pieces([head], ConnectionResetError())), MULTIPART, "image", MIB)
            ]


@given(
    body=st.lists(
        st.sampled_from(
            [
                f"--{BOUNDARY}".encode(),
                b"--",
                b"\r\n",
                b"\r",
                b"Content-Disposition: form-data; ",
                b'name="image"',
                b'; filename="x"',
                b"data",
                b": ",
            ]
        ),
        max_size=25,
    )
)
def test_random_bodies_give_a_file_or_a_refusal(body: list[bytes]) -> None:
    async def taken() -> bytes | None:
        try:
            return await read(b"".join(body), split=3)
        except (Malformed, MissingImage):
            return None

    file = at_once(taken())
    assert file is None or (file in b"".join(body) and f"--{BOUNDARY}--".encode() in b"".join(body))
