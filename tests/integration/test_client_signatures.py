"""What the Python client signs, the server believes, and the other way round."""

import re
from collections.abc import Iterator
from html import unescape

import pytest

from darkroom import VerificationError, picture_html, sign_ticket, sign_token, verify_receipt
from tests.camera import camera_jpeg
from tests.http_client import http
from tests.service import PATIENT, Service

UPLOAD_KEYS, SIGNING_KEYS, API_KEY = f"{'n' * 32},{'o' * 32}", f"{'s' * 32},{'t' * 32}", "0123456789abcdef"
KEYS = {"UPLOAD_KEYS": UPLOAD_KEYS, "SIGNING_KEYS": SIGNING_KEYS, "API_KEYS": API_KEY}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service"), WARM_UP="false", **KEYS, **PATIENT) as service:
        yield service


@pytest.mark.slow
@pytest.mark.parametrize("kept", [0, 1])
def test_ticket_receipt_and_token_of_a_private_image(service: Service, kept: int) -> None:
    """With the key that signs, and with the one that is being replaced."""
    key, external_id = UPLOAD_KEYS.split(",")[kept], f"contract-{kept}"
    ticket = sign_ticket(key, owner="user-7", external_id=external_id, visibility="private")
    answer = http.post(
        f"{service.url}/images/upload",
        files={"image": camera_jpeg(size=(600, 400))},
        headers={"authorization": f"Bearer {ticket}"},
    )
    upload = answer.json()
    assert (answer.status_code, upload["visibility"], upload["externalId"]) == (201, "private", external_id)

    receipt = verify_receipt(upload["receipt"], UPLOAD_KEYS, owner="user-7")
    assert receipt.upload_id == upload["uploadId"]
    with pytest.raises(VerificationError):
        verify_receipt(upload["receipt"], UPLOAD_KEYS, owner="user-8")

    token = sign_token(upload["uploadId"], SIGNING_KEYS.split(",")[kept])
    html = unescape(picture_html(upload, "100vw", alt="A contract", token=token))
    urls = re.findall(r"/private/[^\s\",]+", html)
    assert len(urls) > 6
    for url in urls:
        assert http.get(service.url + url).status_code == 200, url
        assert http.get(service.url + url.partition("?")[0]).status_code == 403
