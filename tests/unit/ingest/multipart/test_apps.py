"""The bodies of HTTP clients in apps, written as these send them: the file's bytes and the fields arrive unchanged."""

import pytest

from ingest.ingest_errors import Malformed
from ingest.uploads.multipart import file_field
from ingest.uploads.upload_fields import UploadFields
from tests.unit.ingest.bodies import chunks_of
from tests.unit.ingest.multipart.reading import MIB, refusal

FILE = b"\xff\xd8 with \r\n--b and \n inside \xff\xd9"
OKHTTP = """\
--{b}
Content-Disposition: form-data; name="focus"
Content-Length: 8

0.5,0.25
--{b}
Content-Disposition: form-data; name="image"; filename="Größe%22 1.jpg"
Content-Type: image/jpeg
Content-Length: 31

{file}
--{b}--
"""
RETROFIT = """\
--{b}
Content-Disposition: form-data; name="focus"
Content-Transfer-Encoding: binary
Content-Type: text/plain; charset=utf-8
Content-Length: 8

0.5,0.25
--{b}
Content-Disposition: form-data; name="image"; filename="photo.jpg"
Content-Transfer-Encoding: binary
Content-Type: image/*

{file}
--{b}--
"""
REACT_NATIVE_IOS = """\
--{b}
content-disposition: form-data; name="focus"

0.5,0.25
--{b}
content-disposition: form-data; name="image"; filename="Größe.jpg"; filename*=utf-8''Gr%C3%B6%C3%9Fe.jpg
content-type: image/jpeg

{file}
--{b}--
"""
KTOR = """\
--{b}
Content-Disposition: form-data; name=focus
Content-Length: 8

0.5,0.25
--{b}
Content-Type: image/jpeg
Content-Disposition: form-data; name=image; filename=photo.jpg
Content-Length: 31

{file}
--{b}--

"""
# By hand: an empty line first, no blank after the colon, quotes and a semicolon in the name, nothing behind the end.
URLSESSION = """

--{b}
Content-Disposition:form-data; name="focus"

0.5,0.25
--{b}
Content-Disposition: form-data; filename="a \\"b\\"; name=focus \U0001f680.jpg"; name="image"
Content-Type: image/jpeg

{file}
--{b}--"""

# `curl -F 'image=<photo.jpg' -F focus=0.5,0.25`
CURL = """\
--{b}
Content-Disposition: form-data; name="image"
Content-Type: image/jpeg

{file}
--{b}
Content-Disposition: form-data; name="focus"

0.5,0.25
--{b}--
"""
# requests with urllib3 before 1.25, for a name that is not ASCII.
REQUESTS = """\
--{b}
Content-Disposition: form-data; name="focus"

0.5,0.25
--{b}
Content-Disposition: form-data; name="image"; filename*=utf-8''Gr%C3%B6%C3%9Fe.jpg

{file}
--{b}--
"""


def body(text: str, boundary: str, line_end: bytes = b"\r\n") -> bytes:
    return text.replace("{b}", boundary).encode().replace(b"\n", line_end).replace(b"{file}", FILE)


@pytest.mark.parametrize("split", [1, None])
@pytest.mark.parametrize(
    ("text", "boundary", "stated"),
    [
        pytest.param(OKHTTP, "3c7f1a4e-2f6f-4a51-9df6-8f2a3b8b3f10", "{}", id="OkHttp 4"),
        pytest.param(RETROFIT, "3c7f1a4e-2f6f-4a51-9df6-8f2a3b8b3f10", "{}", id="Retrofit"),
        pytest.param(REACT_NATIVE_IOS, "ZZUqd.8_k+1", '"{}"', id="React Native"),
        pytest.param(OKHTTP, "alamofire.boundary.0f3a1b2c3d4e5f60", "{}", id="Alamofire"),
        pytest.param(REACT_NATIVE_IOS, "dart-http-boundary-x_.-+Q", "{}", id="Flutter"),
        pytest.param(KTOR, "-7a5b3c-1e0d54545a", "{}", id="Ktor"),
        pytest.param(URLSESSION, "Boundary-7D2E", "{}", id="URLSession"),
        pytest.param(CURL, "------------------------0dc3a3673d7db8e4", "{}", id="curl"),
        pytest.param(REQUESTS, "27efb7b3e6a94b1c8d5f0a9c3b2e1d4f", "{}", id="requests"),
    ],
)
async def test_app_clients_upload_their_file_and_fields(
    text: str, boundary: str, stated: str, split: int | None
) -> None:
    fields = UploadFields()
    media_type = f"multipart/form-data; boundary={stated.format(boundary)}"
    chunks = file_field(chunks_of(body(text, boundary), split), media_type, "image", MIB, fields)

    assert b"".join([chunk async for chunk in chunks]) == FILE
    assert fields.focus == "0.5,0.25"


async def test_body_with_unix_lines_is_refused_with_the_expected_line_ends() -> None:
    error = await refusal(body(OKHTTP, "b", b"\n"), content_type="multipart/form-data; boundary=b")

    assert type(error) is Malformed
    assert "CR LF" in str(error)
