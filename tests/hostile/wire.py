"""Raw HTTP, for requests that no client library would send."""

import contextlib
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

PATIENCE = 30  # seconds
BOUNDARY = "hostile"
TYPE = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"
HEAD = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n'.encode()
"""Everything before the image."""
TAIL = f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True, slots=True)
class Exchange:
    """All data received until the server closed the connection or the response was complete; `sent` is bytes."""

    received: bytes
    sent: int
    closed: bool

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in re.findall(rb"^HTTP/1\.1 (\d{3}) ", self.received, re.MULTILINE)]

    @property
    def headers(self) -> dict[str, str]:
        lines = self.received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}

    @property
    def body(self) -> bytes:
        return self.received.partition(b"\r\n\r\n")[2]


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port), PATIENCE)


def exchange(url: str, *pieces: bytes, endless: Iterable[bytes] = (), half_close: bool = False) -> Exchange:
    """Sends the pieces and reads until the server closes the connection.

    With `endless`, sends these until a response begins, and reads one response. With `half_close`, ends its side first.
    """
    sent, answered = 0, False
    with connect(url) as connection:
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
                sent += len(piece)
            for piece in endless:
                if answered := _answered(connection):
                    break
                connection.sendall(piece)
                sent += len(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        received, closed = _read(connection, one=answered)
    return Exchange(received, sent, closed)


def _answered(connection: socket.socket) -> bool:
    connection.settimeout(0)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(PATIENCE)


def _read(connection: socket.socket, *, one: bool) -> tuple[bytes, bool]:
    received = b""
    try:
        while data := connection.recv(1 << 16):
            received += data
            if one and _whole(received):
                return received, False
    except TimeoutError:
        return received, False
    except ConnectionError:
        pass
    return received, True


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: (\d+)", head, re.MULTILINE | re.IGNORECASE)
    return bool(end and length and len(body) >= int(length[1]))


def request(method: str, path: str, *headers: str, close: bool = True) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def upload(content: bytes, *headers: str, filename: str = "x.jpg") -> bytes:
    body = HEAD.replace(b"x.jpg", filename.encode()) + content + TAIL
    return request("POST", "/images/upload", TYPE, f"Content-Length: {len(body)}", *headers) + body
