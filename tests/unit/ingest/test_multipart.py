"""One file out of a multipart body: byte for byte, or a refusal that says why. Nothing in between."""

from collections.abc import Iterable
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.multipart import MAX_OTHER_BYTES, MAX_PARTS, file_field
from proxy.errors import Malformed, MissingImage, ServiceError, TooLarge
from tests.unit.ingest.bodies import BOUNDARY, MULTIPART, Pieces, chunks_of, multipart, part, upload_body
from tests.unit.ingest.tasks import at_once

MIB = 1 << 20
FILE = 'name="image"; filename="photo.jpg"'
NOISE = Random(7).randbytes(100_000)
SPLITS = [1, 7, None]
HOSTILE_NAMES = {
    "long": "x" * 300,
    "a path": "../../etc/passwd",
    "a path of Windows": "..\\\\..\\\\x.jpg",
    "a drive": "C:\\\\photo.jpg",
    "a NUL": "a\0.png",
    "markup": "><script>alert(1)</script>",
    "right to left": "\u202egpj.exe",
    "quotes": 'a\\"b.jpg',
    "a semicolon": "a; name=other.jpg",
    "empty": "",
    "a program": "x.php",
}


async def read(
    body: bytes | Iterable[bytes], *, content_type: str = MULTIPART, max_bytes: int = MIB, split: int | None = None
) -> bytes:
    source = chunks_of(body, split) if isinstance(body, bytes) else aiter(Pieces(body))
    return b"".join([chunk async for chunk in file_field(source, content_type, "image", max_bytes)])


async def refusal(body: bytes | Iterable[bytes], **options: object) -> ServiceError:
    """Why it was refused; also checks that the sentence is fit to be shown."""
    with pytest.raises(ServiceError) as caught:
        await read(body, **options)
    assert str(caught.value)
    assert str(caught.value) != caught.value.title
    return caught.value


class TestBytes:
    @pytest.mark.parametrize("split", SPLITS)
    @pytest.mark.parametrize("size", [0, 1, 11, 12, 100_000])
    async def test_a_file_comes_out_as_it_went_in(self, size: int, split: int | None) -> None:
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
    async def test_what_only_looks_like_a_boundary_is_part_of_it(self, file: bytes, split: int | None) -> None:
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

    async def test_a_nested_multipart_is_bytes_like_any_other(self) -> None:
        inner = b'--inner\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\nX\r\n--inner--\r\n'
        file = part(FILE, inner, "Content-Type: multipart/mixed; boundary=inner")

        assert await read(multipart(file)) == inner

    async def test_it_streams_and_keeps_nothing_back(self) -> None:
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
    async def test_what_follows_the_closing_boundary_is_of_no_account(self, after: bytes) -> None:
        body = upload_body(b"picture").removesuffix(b"\r\n") + after

        assert await read(body) == b"picture"

    async def test_line_ends_may_come_before_the_first_boundary(self) -> None:
        assert await read(b"\r\n\r\n" + upload_body(b"picture")) == b"picture"

    async def test_blanks_may_follow_a_boundary(self) -> None:
        line = f"--{BOUNDARY}".encode()
        other = part('name="a"', b"b")

        assert await read(other + part(FILE, b"picture").replace(line, line + b" \t") + multipart()) == b"picture"


class TestNames:
    @pytest.mark.parametrize(
        "disposition",
        [
            'name="image"; filename="a.jpg"',
            "name=image; filename=a.jpg",
            'filename="a.jpg"; name="image"',
            'name="image"; filename=""',
            'name="image";filename="a.jpg"',
            'name="image"; filename="a.jpg"; filename*=UTF-8\'\'%e2%82%ac.jpg',
            'name="image"; filename*=UTF-8\'\'%e2%82%ac.jpg; filename="a.jpg"',
            'NAME="image"; FileName="a.jpg"',
        ],
    )
    async def test_the_field_is_found_however_it_is_spelled(self, disposition: str) -> None:
        assert await read(multipart(part(disposition, b"picture"))) == b"picture"

    async def test_the_name_of_the_header_has_no_case(self) -> None:
        body = upload_body(b"picture").replace(b"Content-Disposition", b"CONTENT-disposition")

        assert await read(body, split=1) == b"picture"

    @pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
    @pytest.mark.parametrize("split", [1, None])
    async def test_the_name_of_the_file_says_nothing_to_us(self, name: str, split: int | None) -> None:
        body = multipart(part(f'name="image"; filename="{name}"', b"picture"))

        assert await read(body, split=split) == b"picture"

    @pytest.mark.parametrize("break_", ["\r\n", "\r", "\r\nX-Injected: yes\r\n"])
    async def test_a_line_end_within_a_name_never_leads_to_a_picture_of_another_field(self, break_: str) -> None:
        body = multipart(part(f'name="other{break_}"; name="image"; filename="a.jpg"', b"picture"))

        assert isinstance(await refusal(body), (Malformed, MissingImage))

    @pytest.mark.parametrize(
        "disposition",
        [
            'name="picture"; filename="a.jpg"',
            'name="image "; filename="a.jpg"',
            'name=""; filename="a.jpg"',
            'filename="a.jpg"',
        ],
    )
    async def test_a_file_under_another_name_is_not_it(self, disposition: str) -> None:
        error = await refusal(multipart(part(disposition, b"picture")))

        assert type(error) is MissingImage
        assert "`image`" in str(error)

    async def test_a_picture_sent_as_text_is_called_so(self) -> None:
        error = await refusal(multipart(part('name="image"', b"picture")))

        assert type(error) is MissingImage
        assert "is text" in str(error)

    async def test_an_extended_name_alone_is_none_as_rfc_7578_has_it(self) -> None:
        body = multipart(part("name=\"image\"; filename*=UTF-8''a.jpg", b"picture"))

        assert type(await refusal(body)) is MissingImage

    async def test_two_pictures_are_one_too_many(self) -> None:
        error = await refusal(multipart(part(FILE, b"one"), part(FILE, b"two")))

        assert type(error) is Malformed
        assert "two `image` fields" in str(error)

    async def test_a_picture_with_the_same_name_as_a_text_is_refused_in_either_order(self) -> None:
        file, words = part(FILE, b"one"), part('name="image"', b"text")

        assert type(await refusal(multipart(file, words))) is MissingImage
        assert type(await refusal(multipart(words, file))) is MissingImage


class TestNoMultipart:
    @pytest.mark.parametrize(
        "content_type",
        [
            "",
            "image/jpeg",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "multipart/form-data; boundary=",
            'multipart/form-data; boundary=""',
            "multipart/form-data; charset=utf-8",
            f"multipart/mixed; boundary={BOUNDARY}",
            f"application/json, multipart/form-data; boundary={BOUNDARY}",
        ],
    )
    async def test_another_kind_of_body_is_refused_before_any_of_it_is_read(self, content_type: str) -> None:
        body = Pieces([upload_body(b"picture")])

        with pytest.raises(MissingImage, match="multipart/form-data"):
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
    async def test_the_boundary_is_found_however_it_is_spelled(self, content_type: str) -> None:
        assert await read(upload_body(b"picture"), content_type=content_type) == b"picture"

    @pytest.mark.parametrize("boundary", ["another", BOUNDARY[:-1], f"{BOUNDARY}x", "x" * 257])
    async def test_another_boundary_is_malformed(self, boundary: str) -> None:
        error = await refusal(upload_body(b"picture"), content_type=f"multipart/form-data; boundary={boundary}")

        assert type(error) is Malformed

    async def test_no_part_at_all_is_a_missing_picture(self) -> None:
        assert type(await refusal(multipart())) is MissingImage

    @pytest.mark.parametrize("body", [b"", b"\r\n"])
    async def test_an_empty_body_breaks_off(self, body: bytes) -> None:
        assert type(await refusal(body)) is Malformed

    @pytest.mark.parametrize("body", [b"{}", b"\x00" * 1000, NOISE[:1000], b"-" * 1000, b"\n" * 70_000])
    async def test_nonsense_is_refused(self, body: bytes) -> None:
        assert isinstance(await refusal(body), (Malformed, MissingImage))


class TestBroken:
    @pytest.mark.parametrize("split", [1, None])
    def test_cut_anywhere_it_is_never_taken_for_whole(self, split: int | None) -> None:
        whole = multipart(part('name="a"', b"b"), part(FILE, b"picture", "Content-Type: image/png"), part('name="c"'))
        closed = len(whole) - len("\r\n")

        async def cut_everywhere() -> set[type[ServiceError]]:
            return {type(await refusal(whole[:end], split=split)) for end in range(closed)}

        assert at_once(cut_everywhere()) == {Malformed}

    def test_a_byte_gone_anywhere_never_changes_the_picture_unnoticed(self) -> None:
        """Where the frame loses a byte, the file may not grow by what was frame."""
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
    async def test_a_broken_header(self, header: bytes) -> None:
        body = upload_body(b"picture").replace(b"Content-Type", header + b"Content-Type")

        assert type(await refusal(body)) is Malformed

    async def test_a_part_without_headers_is_nobodys(self) -> None:
        assert type(await refusal(f"--{BOUNDARY}\r\n\r\npicture\r\n--{BOUNDARY}--\r\n".encode())) is MissingImage

    async def test_a_part_without_headers_takes_nothing_from_the_one_before_it(self) -> None:
        nameless = f"--{BOUNDARY}\r\n\r\nnobody's\r\n".encode()

        assert await read(multipart(part(FILE, b"picture"), nameless)) == b"picture"

    async def test_what_the_body_raises_goes_through(self) -> None:
        head = upload_body(b"picture")[:-20]

        with pytest.raises(ConnectionResetError):
            [
                chunk
                async for chunk in file_field(aiter(Pieces([head], ConnectionResetError())), MULTIPART, "image", MIB)
            ]


class TestBounds:
    async def test_as_many_parts_as_there_may_be(self) -> None:
        others = [part(f'name="f{index}"', b"x") for index in range(MAX_PARTS - 1)]

        assert await read(multipart(*others, part(FILE, b"picture"))) == b"picture"

    async def test_one_part_too_many(self) -> None:
        others = [part(f'name="f{index}"', b"x") for index in range(MAX_PARTS)]

        error = await refusal(multipart(part(FILE, b"picture"), *others))

        assert type(error) is Malformed
        assert "64 parts" in str(error)

    async def test_ten_thousand_parts_are_not_read_to_their_end(self) -> None:
        body = Pieces([part(f'name="f{index}"', b"x") for index in range(10_000)])

        with pytest.raises(Malformed):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken == MAX_PARTS + 1

    async def test_too_many_headers(self) -> None:
        assert type(await refusal(multipart(part(FILE, b"x", *[f"X-{n}: y" for n in range(100)])))) is Malformed

    @pytest.mark.parametrize("split", [1000, None])
    async def test_a_header_too_long(self, split: int | None) -> None:
        long = "x" * 5_000

        assert type(await refusal(multipart(part(FILE, b"x", f"X-Long: {long}")), split=split)) is Malformed
        assert type(await refusal(multipart(part(FILE, b"x", f"{long}: y")), split=split)) is Malformed
        assert type(await refusal(multipart(part(f'{FILE}; more="{long}"', b"x")), split=split)) is Malformed

    async def test_a_field_as_long_as_all_may_be(self) -> None:
        file = part(FILE, b"picture")
        frame = len(multipart(part('name="a"'), file)) - len(b"picture")

        assert await read(multipart(part('name="a"', b"x" * (MAX_OTHER_BYTES - frame)), file)) == b"picture"

    async def test_one_byte_more_than_all_may_be(self) -> None:
        file = part(FILE, b"picture")
        frame = len(multipart(part('name="a"'), file)) - len(b"picture")

        error = await refusal(multipart(part('name="a"', b"x" * (MAX_OTHER_BYTES - frame + 1)), file))

        assert type(error) is Malformed
        assert "64 KiB" in str(error)

    @pytest.mark.parametrize("filler", [b"\r\n" * 500, b"\n" * 1000, b"\r" * 1000])
    async def test_a_preamble_without_end_is_not_read_to_its_end(self, filler: bytes) -> None:
        body = Pieces([filler] * 4000)

        with pytest.raises(MissingImage):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken_bytes <= MAX_OTHER_BYTES + 1000

    async def test_an_epilogue_without_end_is_not_read_to_its_end(self) -> None:
        body = Pieces([upload_body(b"picture"), *[b"x" * 1000] * 4000])

        with pytest.raises(Malformed, match="64 KiB"):
            [chunk async for chunk in file_field(aiter(body), MULTIPART, "image", MIB)]

        assert body.taken_bytes <= MAX_OTHER_BYTES + 2000

    async def test_another_file_without_end_is_not_read_to_its_end(self) -> None:
        body = Pieces([part('name="video"; filename="a.mp4"')[:-2], *[b"x" * 1000] * 4000])

        with pytest.raises(MissingImage):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken_bytes <= MAX_OTHER_BYTES + 2000

    async def test_a_header_without_end_is_not_read_to_its_end(self) -> None:
        body = Pieces([f"--{BOUNDARY}\r\nX-Long: ".encode(), *[b"x" * 1000] * 4000])

        with pytest.raises(Malformed):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken < 10

    @pytest.mark.parametrize("split", [4096, None])
    async def test_a_file_as_large_as_it_may_be(self, split: int | None) -> None:
        assert await read(upload_body(NOISE), max_bytes=len(NOISE), split=split) == NOISE

    @pytest.mark.parametrize("split", [4096, None])
    async def test_a_file_one_byte_larger(self, split: int | None) -> None:
        error = await refusal(upload_body(NOISE), max_bytes=len(NOISE) - 1, split=split)

        assert type(error) is TooLarge

    async def test_it_says_how_large_one_may_be(self) -> None:
        assert "at most 1 MB" in str(await refusal(upload_body(bytes(MIB + 1)), max_bytes=MIB))

    async def test_a_file_too_large_is_refused_before_the_rest_of_it_is_read(self) -> None:
        head = part(FILE)[:-2]
        body = Pieces([head, *[b"x" * 1000] * 4000])

        with pytest.raises(TooLarge):
            [chunk async for chunk in file_field(aiter(body), MULTIPART, "image", 100_000)]

        assert body.taken == 1 + 101  # the parser may keep a boundary's length back, never a whole chunk

    async def test_what_is_no_part_of_the_file_does_not_count_as_its_bytes(self) -> None:
        body = multipart(part('name="a"', b"x" * 5000), part(FILE, b"12345"), part('name="b"', b"y" * 5000))

        assert await read(body, max_bytes=5) == b"12345"


@given(file=st.binary(max_size=300), cuts=st.lists(st.integers(0, 700), max_size=20), before=st.booleans())
@settings(max_examples=200, deadline=None)
def test_however_a_body_is_cut_into_pieces_the_file_is_the_same(file: bytes, cuts: list[int], before: bool) -> None:
    other = part('name="a"', b"b")
    body = multipart(*([other] if before else []), part(FILE, file), other)
    edges = sorted({0, len(body), *(min(cut, len(body)) for cut in cuts)})
    pieces = [body[start:end] for start, end in pairwise(edges)]

    assert at_once(read(pieces)) == file


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
@settings(max_examples=300, deadline=None)
def test_whatever_comes_there_is_a_file_or_a_refusal(body: list[bytes]) -> None:
    async def taken() -> bytes | None:
        try:
            return await read(b"".join(body), split=3)
        except (Malformed, MissingImage):
            return None

    file = at_once(taken())
    assert file is None or (file in b"".join(body) and f"--{BOUNDARY}--".encode() in b"".join(body))
