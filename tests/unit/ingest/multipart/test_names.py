"""Field names select the picture; file names do not matter."""

import pytest

from ingest.ingest_errors import Malformed, MissingImage
from tests.unit.ingest.bodies import multipart, part, upload_body
from tests.unit.ingest.multipart.reading import FILE, read, refusal

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
    async def test_field_name_spellings_are_accepted(self, disposition: str) -> None:
        assert await read(multipart(part(disposition, b"picture"))) == b"picture"

    async def test_header_name_is_case_insensitive(self) -> None:
        body = upload_body(b"picture").replace(b"Content-Disposition", b"CONTENT-disposition")

        assert await read(body, split=1) == b"picture"

    @pytest.mark.parametrize("name", HOSTILE_NAMES.values(), ids=HOSTILE_NAMES)
    @pytest.mark.parametrize("split", [1, None])
    async def test_file_name_is_ignored(self, name: str, split: int | None) -> None:
        body = multipart(part(f'name="image"; filename="{name}"', b"picture"))

        assert await read(body, split=split) == b"picture"

    @pytest.mark.parametrize("break_", ["\r\n", "\r", "\r\nX-Injected: yes\r\n"])
    async def test_line_end_in_a_name_never_matches_another_field(self, break_: str) -> None:
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
    async def test_file_in_another_field_is_missing_image(self, disposition: str) -> None:
        error = await refusal(multipart(part(disposition, b"picture")))

        assert type(error) is MissingImage
        assert "`image`" in str(error)

    async def test_picture_sent_as_text_is_named(self) -> None:
        for headers in ([], ["Content-Type: text/plain"], ["X-Type: image/png"]):
            error = await refusal(multipart(part('name="image"', b"picture", *headers)))

            assert type(error) is MissingImage
            assert "is text" in str(error)

    @pytest.mark.parametrize("split", [1, None])
    @pytest.mark.parametrize(
        "disposition",
        [
            "name=\"image\"; filename*=UTF-8''%e2%82%ac.jpg",
            "FileName*=\"utf-8''..%2F..%2Fx.php\";name=image",
            "name=image; filename*0=a; filename*1*=''%00.jpg",
            "name=image; filename*=" + "%0d%0a" * 500,
        ],
    )
    async def test_extended_file_name_alone_makes_a_file_whatever_it_is(self, disposition: str, split: int) -> None:
        assert await read(multipart(part(disposition, b"picture")), split=split) == b"picture"

    async def test_extended_field_name_is_not_a_name(self) -> None:
        body = multipart(part("name*=UTF-8''image; filename=a.jpg", b"picture"))

        assert type(await refusal(body)) is MissingImage

    @pytest.mark.parametrize("media_type", ["image/jpeg", "Image/*", "application/octet-stream", "image/png; a=b"])
    async def test_content_type_of_a_file_makes_up_for_a_missing_file_name(self, media_type: str) -> None:
        body = multipart(part('name="image"', b"picture", f"content-type: {media_type}"))

        assert await read(body, split=1) == b"picture"

    async def test_content_type_of_another_part_does_not_make_a_file(self) -> None:
        other = part('name="title"', b"text", "Content-Type: image/png")

        assert type(await refusal(multipart(other, part('name="image"', b"picture")))) is MissingImage

    @pytest.mark.promise("B7")
    async def test_two_images_are_malformed(self) -> None:
        error = await refusal(multipart(part(FILE, b"one"), part(FILE, b"two")))

        assert type(error) is Malformed
        assert "two `image` fields" in str(error)

    async def test_text_and_file_with_the_same_name_are_refused(self) -> None:
        file, words = part(FILE, b"one"), part('name="image"', b"text")

        assert type(await refusal(multipart(file, words))) is MissingImage
        assert type(await refusal(multipart(words, file))) is MissingImage
