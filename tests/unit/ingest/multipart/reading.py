"""Helpers that read the file out of a multipart body."""

from collections.abc import Iterable
from random import Random

import pytest

from ingest.uploads.multipart import file_field
from proxy.errors import ServiceError
from tests.unit.ingest.bodies import MULTIPART, Pieces, chunks_of

MIB = 1 << 20
FILE = 'name="image"; filename="photo.jpg"'
NOISE = Random(7).randbytes(100_000)


async def read(
    body: bytes | Iterable[bytes], *, content_type: str = MULTIPART, max_bytes: int = MIB, split: int | None = None
) -> bytes:
    source = chunks_of(body, split) if isinstance(body, bytes) else aiter(Pieces(body))
    return b"".join([chunk async for chunk in file_field(source, content_type, "image", max_bytes)])


async def refusal(body: bytes | Iterable[bytes], **options: object) -> ServiceError:
    """Returns the reason of the refusal, after checking that it is readable text."""
    with pytest.raises(ServiceError) as caught:
        await read(body, **options)
    assert str(caught.value)
    assert str(caught.value) != caught.value.title
    return caught.value
