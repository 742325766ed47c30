"""nginx follows a name whose address changes, as that of a container does when it is created anew."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from tests.client import until
from tests.conftest import need
from tests.http_client import http
from tests.nginx import PROGRAM, Answer, StubOrigin, nginx


class NameServer:
    """Answers every query with `address`, for one second."""

    def __init__(self) -> None:
        self.address = ""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = threading.Thread(target=self._serve)
        thread.start()
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stop:
                stop.sendto(b"", ("127.0.0.1", self.port))
            thread.join()
            self._socket.close()

    def _serve(self) -> None:
        while True:
            query, client = self._socket.recvfrom(512)
            if not query:
                return
            question = query[12 : query.index(b"\0", 12) + 5]
            head = query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0"  # a response with one question and one answer
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(self.address)
            self._socket.sendto(head + question + answer, client)


def test_nginx_follows_a_recreated_container(tmp_path: Path) -> None:
    need(PROGRAM, "nginx-light")
    names = NameServer()
    with StubOrigin("127.0.0.2") as first, StubOrigin("127.0.0.3", first.port) as second:
        first.answer, second.answer = Answer(body=b"first"), Answer(body=b"second")
        proxy = f"http://proxy.test:{first.port}"
        resolver = {"resolver 127.0.0.11 valid=5s": f"resolver 127.0.0.1:{names.port} valid=1s"}
        names.address = "127.0.0.2"
        with names.serving(), nginx(tmp_path, proxy, proxy, changes=resolver) as url:

            def answered(by: bytes) -> bool:
                variant = http.get(f"{url}/images/{uuid4()}/small.jpg")
                return variant.content == http.get(f"{url}/images").content == by

            assert answered(b"first")
            first.close()
            names.address = "127.0.0.3"
            until(lambda: answered(b"second"))
