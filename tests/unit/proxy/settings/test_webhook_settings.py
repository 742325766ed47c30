"""WEBHOOK_URL, WEBHOOK_SECRET and WEBHOOK_ALLOW_PRIVATE."""

from base64 import b64encode

import pytest

from proxy.settings import decode_webhook_secret, load_settings
from tests.unit.proxy.settings.toml_file import refusal

SECRET = "whsec_" + b64encode(bytes(24)).decode()


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)


@pytest.mark.parametrize(
    "url", ["https://shop.example", "https://shop.example:8443/hooks?token=a%20b", "https://[2001:db8::1]/"]
)
def test_url_may_have_a_port_a_path_and_a_query(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WEBHOOK_URL", url)

    assert load_settings().webhook_url == url


@pytest.mark.parametrize(
    "url",
    [
        "shop.example",
        "ftp://shop.example/",
        "https://user:password@shop.example/",
        "https://shop.example/#part",
        "https://shop.example\\@10.0.0.1/",
        "https:///hooks",
        "https://shop.example/a b",
    ],
)
def test_invalid_urls_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WEBHOOK_URL", url)

    assert refusal().splitlines() == ["WEBHOOK_URL: give an https:// URL without name, password and fragment"]


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example:abc/",
        "https://shop.example:99999/",
        "https://shop.example:0/",
        "https://shop.example/é",
        "https://[::1/x",
        "https://:443/",
    ],
)
def test_urls_that_no_request_can_be_sent_to_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WEBHOOK_URL", url)

    assert refusal().splitlines() == [
        "WEBHOOK_URL: it is not a URL: check host and port, and percent-encode other characters"
    ]


def test_plain_http_is_for_private_receivers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "http://app.internal:8080/hooks")
    [mistake] = refusal().splitlines()
    assert mistake.startswith("WEBHOOK_URL: begin it with https://; ")
    monkeypatch.setenv("WEBHOOK_ALLOW_PRIVATE", "true")

    assert load_settings().webhook_url == "http://app.internal:8080/hooks"


def test_url_needs_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_URL", "https://shop.example/")
    monkeypatch.delenv("WEBHOOK_SECRET")

    assert refusal().splitlines() == ["WEBHOOK_URL: the receiver could not verify the sender: set WEBHOOK_SECRET, too"]


@pytest.mark.parametrize(
    "secret",
    [
        b64encode(bytes(32)).decode(),
        "whsec_",
        "whsec_" + b64encode(bytes(23)).decode(),
        "whsec_" + b64encode(bytes(65)).decode(),
        "whsec_" + b64encode(bytes(32)).decode()[:-1],
        "whsec_!" + b64encode(bytes(32)).decode(),
        "whsec_sünde",
    ],
)
def test_malformed_secrets_are_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", secret)

    [mistake] = refusal().splitlines()
    assert mistake.endswith("a secret is whsec_ and the base64 of 24 to 64 bytes: `darkroom keys webhook` prints one")
    assert len(secret) < 12 or secret[6:] not in mistake


def test_secrets_are_split_decoded_and_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBHOOK_SECRET", f"{SECRET}, whsec_{b64encode(bytes([255]) * 64).decode()}")

    secrets = load_settings().webhook_secret

    assert [decode_webhook_secret(each.get_secret_value()) for each in secrets] == [bytes(24), bytes([255]) * 64]
    assert "whsec" not in repr(secrets)
