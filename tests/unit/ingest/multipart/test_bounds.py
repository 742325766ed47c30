"""Limits on parts, headers, names, preamble, epilogue and file."""

import pytest

from ingest.ingest_errors import Malformed, MissingImage, TooLarge
from ingest.uploads.multipart import MAX_OTHER_BYTES, MAX_PARTS, file_field
from tests.unit.ingest.bodies import BOUNDARY, MULTIPART, Pieces, multipart, part, upload_body
from tests.unit.ingest.multipart.reading import FILE, MIB, NOISE, read, refusal


class TestBounds:
    async def test_maximum_parts_are_accepted(self) -> None:
        others = [part(f'name="f{index}"', b"x") for index in range(MAX_PARTS - 1)]

        assert await read(multipart(*others, part(FILE, b"picture"))) == b"picture"

    async def test_one_part_too_many_is_malformed(self) -> None:
        others = [part(f'name="f{index}"', b"x") for index in range(MAX_PARTS)]

        error = await refusal(multipart(part(FILE, b"picture"), *others))

        assert type(error) is Malformed
        assert "64 parts" in str(error)

    @pytest.mark.promise("B6")
    async def test_reading_stops_at_the_part_limit(self) -> None:
        body = Pieces([part(f'name="f{index}"', b"x") for index in range(10_000)])

        with pytest.raises(Malformed):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken == MAX_PARTS + 1

    async def test_too_many_headers_are_malformed(self) -> None:
        assert type(await refusal(multipart(part(FILE, b"x", *[f"X-{n}: y" for n in range(100)])))) is Malformed

    @pytest.mark.parametrize("split", [1000, None])
    async def test_too_long_header_is_malformed(self, split: int | None) -> None:
        long = "x" * 5_000

        assert type(await refusal(multipart(part(FILE, b"x", f"X-Long: {long}")), split=split)) is Malformed
        assert type(await refusal(multipart(part(FILE, b"x", f"{long}: y")), split=split)) is Malformed
        assert type(await refusal(multipart(part(f'{FILE}; more="{long}"', b"x")), split=split)) is Malformed

    async def test_other_fields_at_the_limit_are_accepted(self) -> None:
        file = part(FILE, b"picture")
        frame = len(multipart(part('name="a"'), file)) - len(b"picture")

        assert await read(multipart(part('name="a"', b"x" * (MAX_OTHER_BYTES - frame)), file)) == b"picture"

    async def test_other_fields_beyond_the_limit_are_refused(self) -> None:
        file = part(FILE, b"picture")
        frame = len(multipart(part('name="a"'), file)) - len(b"picture")

        error = await refusal(multipart(part('name="a"', b"x" * (MAX_OTHER_BYTES - frame + 1)), file))

        assert type(error) is Malformed
        assert "64 KiB" in str(error)

    @pytest.mark.parametrize("filler", [b"\r\n" * 500, b"\n" * 1000, b"\r" * 1000, b"a text\r\n--" * 100])
    async def test_endless_preamble_is_refused_early(self, filler: bytes) -> None:
        body = Pieces([filler] * 4000)

        with pytest.raises(MissingImage):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken_bytes <= MAX_OTHER_BYTES + 1000

    async def test_endless_epilogue_is_refused_early(self) -> None:
        body = Pieces([upload_body(b"picture"), *[b"x" * 1000] * 4000])

        with pytest.raises(Malformed, match="64 KiB"):
            [chunk async for chunk in file_field(aiter(body), MULTIPART, "image", MIB)]

        assert body.taken_bytes <= MAX_OTHER_BYTES + 2000

    async def test_endless_other_file_is_refused_early(self) -> None:
        body = Pieces([part('name="video"; filename="a.mp4"')[:-2], *[b"x" * 1000] * 4000])

        with pytest.raises(MissingImage):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken_bytes <= MAX_OTHER_BYTES + 2000

    async def test_endless_header_is_refused_early(self) -> None:
        body = Pieces([f"--{BOUNDARY}\r\nX-Long: ".encode(), *[b"x" * 1000] * 4000])

        with pytest.raises(Malformed):
            await anext(file_field(aiter(body), MULTIPART, "image", MIB))

        assert body.taken < 10

    @pytest.mark.parametrize("split", [4096, None])
    async def test_file_at_the_limit_is_accepted(self, split: int | None) -> None:
        assert await read(upload_body(NOISE), max_bytes=len(NOISE), split=split) == NOISE

    @pytest.mark.parametrize("split", [4096, None])
    async def test_file_beyond_the_limit_is_too_large(self, split: int | None) -> None:
        error = await refusal(upload_body(NOISE), max_bytes=len(NOISE) - 1, split=split)

        assert type(error) is TooLarge

    async def test_too_large_error_names_the_limit(self) -> None:
        assert "at most 1 MB" in str(await refusal(upload_body(bytes(MIB + 1)), max_bytes=MIB))

    async def test_too_large_file_is_refused_early(self) -> None:
        head = part(FILE)[:-2]
        body = Pieces([head, *[b"x" * 1000] * 4000])

        with pytest.raises(TooLarge):
            [chunk async for chunk in file_field(aiter(body), MULTIPART, "image", 100_000)]

        assert body.taken == 1 + 101  # the parser may keep a boundary's length back, never a whole chunk

    async def test_other_fields_do_not_count_as_file_bytes(self) -> None:
        body = multipart(part('name="a"', b"x" * 5000), part(FILE, b"12345"), part('name="b"', b"y" * 5000))

        assert await read(body, max_bytes=5) == b"12345"
