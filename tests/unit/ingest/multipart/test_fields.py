"""Text fields beside the image: read, bounded, and refused if there is no such field."""

import pytest

from ingest.ingest_errors import InvalidField, Malformed, MissingImage, UnknownField
from ingest.uploads.multipart import file_field
from ingest.uploads.upload_fields import MAX_VALUE, UploadFields
from tests.unit.ingest.bodies import MULTIPART, chunks_of, multipart, part
from tests.unit.ingest.multipart.reading import FILE, MIB

IMAGE = part(FILE, b"picture")


async def read(*parts: bytes, split: int | None = None) -> UploadFields:
    fields = UploadFields()
    chunks = file_field(chunks_of(multipart(*parts), split), MULTIPART, "image", MIB, fields)
    assert b"".join([chunk async for chunk in chunks]) == b"picture"
    return fields


def focus(value: bytes) -> bytes:
    return part('name="focus"', value)


@pytest.mark.parametrize("split", [1, None])
async def test_focus_may_come_before_or_after_the_image(split: int | None) -> None:
    assert (await read(focus(b"0.30,1.0"), IMAGE, split=split)).focus == "0.3,1"
    assert (await read(IMAGE, focus(b"0.30,1.0"), split=split)).focus == "0.3,1"


async def test_missing_and_empty_focus_are_none() -> None:
    assert (await read(IMAGE)).focus is None
    assert (await read(focus(b""), IMAGE)).focus is None


@pytest.mark.parametrize("value", [b"1.5,0", b"center", b"\xff", b"0.5", b"0.5,0.5\r\n"])
async def test_invalid_focus_is_refused_with_an_example(value: bytes) -> None:
    with pytest.raises(InvalidField, match=r"For instance `0\.3,0\.7`\."):
        await read(IMAGE, focus(value))


async def test_fields_of_the_application_are_read_in_any_order_and_any_pieces() -> None:
    parts = [
        part('name="owner"', "Zoë 🙂".encode()),
        part('name="externalId"', b"a/1"),
        part('name="metadata"', b'{"a":[1]}'),
    ]
    for split in (1, None):
        fields = await read(*parts, IMAGE, split=split)
        assert (fields.owner, fields.external_id, fields.metadata) == ("Zoë 🙂", "a/1", {"a": [1]})
    fields = await read(*(part(f'name="{name}"', b"") for name in ("owner", "externalId", "metadata")), IMAGE)
    assert fields.values == {}


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("owner", b"\xff", "printable"),
        ("owner", b"a\r\nb", "printable"),
        ("externalId", b"x" * 129, "1 to 128"),
        ("metadata", b"{", "`metadata` is not JSON"),
        ("metadata", b"[]", "must be a JSON object"),
        ("metadata", b'{"a":1,"a":2}', "has two `a` fields"),
        ("metadata", b'{"a":NaN}', "has NaN"),
        ("metadata", b'{"a":"\xff"}', "surrogate"),
    ],
)
async def test_invalid_values_are_refused_by_the_name_of_their_field(name: str, value: bytes, reason: str) -> None:
    with pytest.raises(InvalidField, match=reason):
        await read(IMAGE, part(f'name="{name}"', value))


async def test_long_value_is_refused() -> None:
    with pytest.raises(InvalidField, match=f"at most {MAX_VALUE} bytes"):
        await read(focus(b"0" * (MAX_VALUE + 1)), IMAGE)


async def test_second_focus_is_malformed() -> None:
    with pytest.raises(Malformed, match="two `focus` fields"):
        await read(focus(b""), IMAGE, focus(b"0,0"))


@pytest.mark.parametrize("parts", [(part('name="Focus"', b"0,0"), IMAGE), (IMAGE, part('name="Focus"', b"0,0"))])
async def test_unknown_field_is_refused_and_the_known_ones_are_named(parts: tuple[bytes, ...]) -> None:
    with pytest.raises(
        UnknownField,
        match=r"no field `Focus`\. The fields are `image`, `focus`, `owner`, `externalId`, `metadata`, `visibility`\.",
    ):
        await read(*parts)


async def test_missing_image_is_reported_before_unknown_fields() -> None:
    with pytest.raises(MissingImage):
        await read(part('name="file"; filename="a.jpg"', b"picture"))
