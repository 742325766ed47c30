"""Real clients: curl, Uppy and OkHttp byte for byte, a browser's form, a back end that repeats uploads."""

import json
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from darkroom import picture_html, sign_ticket, variant_url
from tests.camera import camera_jpeg
from tests.conftest import need
from tests.http_client import http
from tests.photographs import photograph_path
from tests.service import PATIENT, Service

ROCKET = photograph_path("rocket.jpg")
KEY, SHOP = "k" * 32, "http://shop.example"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"UPLOAD_KEYS": KEY, "CORS_ORIGINS": SHOP, "WARM_UP": "false"}
    with Service(tmp_path_factory.mktemp("service"), **settings, **PATIENT) as service:
        yield service


def curl(service: Service, *arguments: str) -> tuple[int, dict[str, object]]:
    """Returns status and JSON."""
    program = shutil.which("curl")
    need(program, "curl")
    command = [program, "--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_code}", *arguments]
    done = subprocess.run([*command, f"{service.url}/images/upload"], capture_output=True, text=True, check=True)
    body, _, status = done.stdout.rpartition("\n")
    return int(status), json.loads(body)


@pytest.mark.parametrize("expect", ["Expect: 100-continue", "Expect:"])
def test_curl_uploads_a_form(service: Service, tmp_path: Path, expect: str) -> None:
    picture = camera_jpeg(size=(400, 300))
    photo = tmp_path / "a photo; of mine.jpg"
    photo.write_bytes(picture)

    status, document = curl(service, "-F", f'image=@"{photo}"', "-F", "focus=0.25,1.0", "-H", expect)

    assert status == 201
    assert document["originalSize"] == len(picture)
    assert document["focus"] == "0.25,1"
    assert document["privacy"] == {"removed": ["location", "serial", "time", "device", "comments"], "kept": []}


@pytest.mark.parametrize("header", ["Expect: 100-continue", "Expect:", "Transfer-Encoding: chunked"])
def test_curl_shows_why_a_large_file_is_refused(service: Service, tmp_path: Path, header: str) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(ROCKET.read_bytes().ljust(40 << 20, b"\0"))

    status, document = curl(service, "-F", f"image=@{large}", "-H", header)

    assert (status, document["code"]) == (413, "too_large")
    assert list((service.folder / "data" / "tmp").iterdir()) == []


def test_curl_shows_why_another_format_is_refused(service: Service) -> None:
    status, document = curl(service, "-F", f"image=@{__file__}")

    assert (status, document["code"]) == (400, "unsupported_format")
    assert list((service.folder / "data" / "tmp").iterdir()) == []


def test_curl_retry_with_an_idempotency_key_uploads_once(service: Service) -> None:
    sent = [curl(service, "-F", f"image=@{ROCKET}", "-H", "Idempotency-Key: curl-1") for _ in range(2)]

    assert [status for status, _ in sent] == [201, 201]
    assert sent[0] == sent[1]


def uppy(
    service: Service, site: str = "same-origin", origin: str = "", ticket: str = "", **metadata: str
) -> tuple[int, dict[str, object]]:
    """Sends what Chrome sends for Uppy's XHRUpload with `fieldName: 'image'`: its metadata come before the file."""
    boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
    address = urlsplit(service.url).netloc
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in metadata.items()
    ]
    disposition = 'Content-Disposition: form-data; name="image"; filename="Größe \U0001f680.jpg"'
    parts.append(f"--{boundary}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n")
    body = "".join(parts).encode() + ROCKET.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    origin = origin or f"http://{address}"
    authorization = f"Authorization: Bearer {ticket}\r\n" if ticket else ""
    head = (
        "POST /images/upload HTTP/1.1\r\n"
        f"Host: {address}\r\n"
        "Connection: keep-alive\r\n"
        f"Content-Length: {len(body)}\r\n"
        'sec-ch-ua-platform: "Linux"\r\n'
        f"{authorization}"
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0\r\n"
        'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99"\r\n'
        f"Content-Type: multipart/form-data; boundary={boundary}\r\n"
        "sec-ch-ua-mobile: ?0\r\n"
        "Accept: */*\r\n"
        f"Origin: {origin}\r\n"
        f"Sec-Fetch-Site: {site}\r\n"
        "Sec-Fetch-Mode: cors\r\n"
        "Sec-Fetch-Dest: empty\r\n"
        f"Referer: {origin}/\r\n"
        "Accept-Encoding: gzip, deflate, br, zstd\r\n"
        "Accept-Language: en-GB,en;q=0.9\r\n\r\n"
    ).encode()
    return exchange(service, head, body)


def exchange(service: Service, head: bytes, body: bytes) -> tuple[int, dict[str, object]]:
    """Sends the body in chunks, as a network delivers it."""
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(head)
        for start in range(0, len(body), 16_000):
            connection.sendall(body[start : start + 16_000])
        answer = connection.makefile("rb")
        status = int(answer.readline().split()[1])
        headers = dict(line.decode().lower().strip().split(": ", 1) for line in iter(answer.readline, b"\r\n"))
        return status, json.loads(answer.read(int(headers["content-length"])))


def test_uppy_uploads_from_a_page_of_the_same_origin(service: Service) -> None:
    status, document = uppy(service, focus="0.5,0.25")

    assert (status, document["originalSize"], document["focus"]) == (201, ROCKET.stat().st_size, "0.5,0.25")


def test_uppy_without_allowed_meta_fields_is_refused_with_the_known_fields(service: Service) -> None:
    status, document = uppy(service, relativePath="null", name="Größe \U0001f680.jpg", type="image/jpeg")

    assert (status, document["code"]) == (400, "unknown_field")
    assert "`focus`" in str(document["detail"])


def test_uppy_on_another_site_is_refused(service: Service) -> None:
    status, document = uppy(service, "cross-site")

    assert (status, document["code"]) == (403, "cross_site")


def test_uppy_on_another_site_uploads_with_a_ticket(service: Service) -> None:
    status, document = uppy(service, "cross-site", SHOP, sign_ticket(KEY, owner="user-7"))

    assert (status, document["owner"], document["originalSize"]) == (201, "user-7", ROCKET.stat().st_size)
    assert document["receipt"]


def test_okhttp_uploads_in_chunks_with_a_ticket(service: Service) -> None:
    """As it does for a stream: the lengths of the file and of the body are not known."""
    boundary, ticket = "3c7f1a4e-2f6f-4a51-9df6-8f2a3b8b3f10", sign_ticket(KEY, owner="user-7")
    head = (
        f"POST /images/upload HTTP/1.1\r\nAuthorization: Bearer {ticket}\r\n"
        f"Content-Type: multipart/form-data; boundary={boundary}\r\nTransfer-Encoding: chunked\r\n"
        f"Host: {urlsplit(service.url).netloc}\r\nConnection: Keep-Alive\r\nAccept-Encoding: gzip\r\n"
        "User-Agent: okhttp/4.12.0\r\n\r\n"
    )
    parts = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="externalId"\r\nContent-Length: 2\r\n\r\n42\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="Größe.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = parts.encode() + ROCKET.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    chunks = [body[start : start + 8192] for start in range(0, len(body), 8192)] + [b""]

    status, document = exchange(service, head.encode(), b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in chunks))

    assert (status, document["originalSize"], document["externalId"]) == (201, ROCKET.stat().st_size, "42")


def test_browser_form_without_javascript_gets_a_page_with_the_image(service: Service) -> None:
    accept = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    headers = {"Accept": accept, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate"}
    files = {"image": ("rocket.jpg", ROCKET.read_bytes(), "image/jpeg")}

    answer = http.post(f"{service.url}/images/upload", files=files, headers=headers)

    assert answer.status_code == 201
    assert answer.headers["content-type"].startswith("text/html")
    assert f"{answer.headers['location']}/large.jpg" in answer.text
    assert http.get(f"{service.url}{answer.headers['location']}/large.jpg").status_code == 200


def test_python_client_makes_the_servers_markup_and_urls(service: Service) -> None:
    document = http.post(f"{service.url}/images/upload", files={"image": ROCKET.read_bytes()}).json()

    shown = http.get(f"{service.url}/images/{document['uploadId']}").json()

    assert picture_html(document) == picture_html(shown) == shown["picture"]
    url = variant_url(document["uploadId"], "small", density=2, base=service.url)
    answer = http.get(url, headers={"Accept": "image/avif,*/*"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/avif")


def test_idempotency_key_of_a_crashed_upload_becomes_free(service: Service) -> None:
    """Killed during an upload: a repetition gets 409 until that attempt has timed out, and is then accepted."""
    repetition = ("-F", f"image=@{ROCKET}", "-H", "Idempotency-Key: died")
    with half_sent(service, "died"):
        service.kill()
    service.start()

    status, document = curl(service, *repetition)
    assert (status, document["code"]) == (409, "in_progress")

    age_jobs(service.folder / "data" / "darkroom.db")
    status, document = curl(service, *repetition)
    assert (status, document["originalSize"]) == (201, ROCKET.stat().st_size)
    assert curl(service, *repetition) == (201, document)


@contextmanager
def half_sent(service: Service, key: str) -> Iterator[None]:
    """An upload that the server has begun to receive."""
    head = f"POST /images/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999\r\nIdempotency-Key: {key}\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    address = urlsplit(service.url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + part)
        connection.sendall(ROCKET.read_bytes()[:20_000])
        deadline = time.monotonic() + 20
        while not list(service.folder.glob("data/tmp/*/original")):
            assert time.monotonic() < deadline, service.log()
            time.sleep(0.05)
        yield


def age_jobs(path: Path) -> None:
    """Makes all jobs ten minutes older."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(
            "UPDATE upload_jobs SET created_at = strftime('%Y-%m-%d %H:%M:%f000', created_at, '-10 minutes')"
        )
