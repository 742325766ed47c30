"""Sending one webhook: its signature, where it may go, and what counts as delivered."""

import asyncio
import json
import socket
import ssl
import sys
import traceback
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from darkroom import verify_webhook
from ingest.webhooks import webhook_sender
from ingest.webhooks.webhook_sender import NotDelivered, WebhookSender, sign
from proxy.settings import decode_webhook_secret
from tests.certificates import make_certificate
from tests.receiver import Receiver, receiving

VECTORS = json.loads((Path(__file__).parents[4] / "clients/vectors/webhooks.json").read_text(encoding="utf-8"))
ONE, OTHER = ("whsec_" + b64encode(bytes([number]) * 32).decode() for number in (1, 2))
ID = "0b9e1d0c-7d0e-4a7c-9a0c-7b1d9f0f6a55"
BODY = '{"type":"image.ready","data":{"metadata":{"name":"Zoë"}}}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


def sender_to(receiver: Receiver, *secrets: str) -> WebhookSender:
    return WebhookSender(receiver.url, secrets or (ONE,), allow_private=True)


@contextmanager
def full_backlog(port: int) -> Iterator[int]:
    """A port of 127.0.0.2 that accepts no connection: the queue is full. Yields its number."""
    with socket.create_server(("127.0.0.2", port), backlog=0) as server, ExitStack() as waiting:
        for _ in range(2):
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]


def connecting_threads() -> bool:
    """Whether a thread of this process is in `CheckedConnection._connect`."""
    frames = sys._current_frames().values()
    return any("_connect" in [frame.name for frame in traceback.extract_stack(found)] for found in frames)


async def until_some_thread_connects() -> None:
    async with asyncio.timeout(30):
        while not connecting_threads():
            await asyncio.sleep(0.01)


async def refusal(sender: WebhookSender) -> NotDelivered:
    with pytest.raises(NotDelivered) as caught:
        await sender.send(ID, BODY)
    return caught.value


@pytest.mark.parametrize("case", [VECTORS["verify"][0]], ids=lambda case: case["name"])
def test_signature_is_that_of_the_reference_library(case: Any) -> None:
    expected = case["headers"]
    key = decode_webhook_secret(case["secret"])

    assert sign([key], expected["webhook-id"], int(expected["webhook-timestamp"]), case["body"].encode()) == expected


async def test_webhook_is_sent_as_it_is_signed(receiver: Receiver) -> None:
    await sender_to(receiver).send(ID, BODY)

    [received] = receiver.received
    assert received.path == "/hooks/darkroom?source=tests"
    assert received.body == BODY.encode()
    assert verify_webhook(received.body, received.headers, ONE) == json.loads(BODY)
    headers = {name.lower(): value for name, value in received.headers.items()}
    assert headers["webhook-id"] == ID
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_each_secret_signs_so_that_the_receiver_can_change_it(receiver: Receiver) -> None:
    await sender_to(receiver, OTHER, ONE).send(ID, BODY)

    [received] = receiver.received
    for secret in (ONE, OTHER):
        assert verify_webhook(received.body, received.headers, secret)


@pytest.mark.parametrize("status", [200, 202, 204, 299])
async def test_status_2xx_is_delivered(receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, {})]

    await sender_to(receiver).send(ID, BODY)

    assert len(receiver.received) == 1


@pytest.mark.parametrize(
    ("status", "headers", "is_final", "retry_after"),
    [
        (500, {}, False, 0),
        (404, {}, False, 0),
        (410, {}, True, 0),
        (503, {"Retry-After": "120"}, False, 120),
        (429, {"Retry-After": "999999"}, False, 3600),
        (503, {"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}, False, 0),
        (503, {"Retry-After": "-1"}, False, 0),
    ],
)
async def test_other_statuses_are_not(
    receiver: Receiver, status: int, headers: dict[str, str], is_final: bool, retry_after: float
) -> None:
    receiver.answers = [(status, headers)]

    error = await refusal(sender_to(receiver))

    assert (str(error), error.is_final, error.retry_after) == (
        f"The receiver answered {status}.",
        is_final,
        retry_after,
    )


async def test_redirects_are_not_followed(receiver: Receiver) -> None:
    receiver.answers = [(307, {"Location": f"http://127.0.0.1:{receiver.port}/elsewhere"})]

    error = await refusal(sender_to(receiver))

    assert str(error) == "The receiver redirects (307): set WEBHOOK_URL to the redirect's target."
    assert not error.is_final
    assert [each.path for each in receiver.received] == ["/hooks/darkroom?source=tests"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[fd00::1]"])
async def test_private_addresses_get_nothing(receiver: Receiver, host: str) -> None:
    sender = WebhookSender(f"http://{host}:{receiver.port}/", [ONE])

    error = await refusal(sender)

    assert str(error).endswith("is not a public address. To allow it, set WEBHOOK_ALLOW_PRIVATE=true.")
    assert not error.is_final
    assert receiver.received == []


async def test_connection_goes_to_the_address_that_was_checked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that resolves to a public address when it is checked, and to this machine when it is connected to."""

    async def checked(host: str, port: int, *, allow_private: bool) -> list[str]:
        assert (host, port, allow_private) == ("localhost", receiver.port, False)
        return ["192.0.2.1"]  # for documentation (RFC 5737): nothing answers

    monkeypatch.setattr(webhook_sender, "resolve_public", checked)
    monkeypatch.setattr(webhook_sender, "DEADLINE", 0.3)

    await refusal(WebhookSender(f"http://localhost:{receiver.port}/", [ONE]))

    assert receiver.received == []


async def test_next_address_is_tried_if_one_refuses_connections(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def two(*_: object, **__: object) -> list[str]:
        return ["::1", "127.0.0.1"]  # the receiver listens on the second

    monkeypatch.setattr(webhook_sender, "resolve_public", two)

    await WebhookSender(f"http://localhost:{receiver.port}/", [ONE]).send(ID, BODY)

    assert receiver.received[0].headers["Host"] == f"localhost:{receiver.port}"


async def test_next_address_is_tried_if_one_is_silent(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first address accepts no connection: its queue is full."""

    async def two(*_: object, **__: object) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr(webhook_sender, "resolve_public", two)
    monkeypatch.setattr(webhook_sender, "_STALL", 2.0)
    with full_backlog(receiver.port):
        await WebhookSender(f"http://localhost:{receiver.port}/", [ONE]).send(ID, BODY)

    assert len(receiver.received) == 1


@pytest.mark.parametrize(("host", "is_trusted"), [("hooks.example", True), ("other.example", False)])
async def test_certificate_must_be_for_the_name_and_not_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, host: str, is_trusted: bool
) -> None:
    certificate = make_certificate(tmp_path / "hooks.pem", "hooks.example")

    async def here(*_: object, **__: object) -> list[str]:
        return ["127.0.0.1"]

    monkeypatch.setattr(webhook_sender, "resolve_public", here)
    trusting = ssl.create_default_context(cafile=certificate)
    monkeypatch.setattr(ssl, "create_default_context", lambda: trusting)
    with receiving(certificate) as receiver:
        sender = WebhookSender(f"https://{host}:{receiver.port}/", [ONE])
        if is_trusted:
            await sender.send(ID, BODY)
        else:
            assert "certificate" in str(await refusal(sender))

        assert len(receiver.received) == int(is_trusted)


async def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy would connect to the name, and so to addresses that were not judged."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    await sender_to(receiver).send(ID, BODY)

    assert len(receiver.received) == 1


async def test_silent_receiver_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sender, "DEADLINE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts connections
        error = await refusal(WebhookSender(f"http://127.0.0.1:{silent.getsockname()[1]}/", [ONE], allow_private=True))

    assert str(error) == "The receiver did not answer within 0.2 seconds."


async def test_receiver_that_refuses_connections_or_has_no_address_is_not_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/"):
        error = await refusal(WebhookSender(url, [ONE], allow_private=True))

        assert str(error).startswith("The receiver cannot be reached: ")
        assert not error.is_final


async def test_endless_headers_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY.encode())
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 9_000) for n in range(9)) + b"\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(WebhookSender(f"http://127.0.0.1:{port}/", [ONE], allow_private=True))

    assert str(error) == "The receiver does not answer in HTTP: HTTPException."


async def test_waiting_requests_share_one_look_up(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow name server must not keep the process from resolving other names."""
    looked_up, answered = 0, asyncio.Event()

    async def slow(*_: object, **__: object) -> list[str]:
        nonlocal looked_up
        looked_up += 1
        await answered.wait()
        return ["127.0.0.1"]

    monkeypatch.setattr(webhook_sender, "resolve_public", slow)
    monkeypatch.setattr(webhook_sender, "DEADLINE", 0.2)
    sender = sender_to(receiver)
    for _ in range(2):
        errors = await asyncio.gather(*(sender.send(ID, BODY) for _ in range(5)), return_exceptions=True)
        assert {type(error) for error in errors} == {NotDelivered}
    assert looked_up == 1
    answered.set()
    await asyncio.sleep(0)
    monkeypatch.setattr(webhook_sender, "DEADLINE", 30)

    await sender.send(ID, BODY)

    assert looked_up == 2


async def test_cancellation_ends_a_connection_that_is_not_accepted(receiver: Receiver) -> None:
    """Otherwise the end of the process would wait for the thread that connects."""
    with full_backlog(0) as port:
        sender = WebhookSender(f"http://127.0.0.2:{port}/", [ONE], allow_private=True)
        sending = asyncio.create_task(sender.send(ID, BODY))
        await until_some_thread_connects()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending

        async with asyncio.timeout(3):
            while connecting_threads():
                await asyncio.sleep(0.01)


async def test_answer_that_is_not_http_is_not_delivered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)

        async def answer() -> None:
            connection, _ = await asyncio.get_running_loop().sock_accept(server)
            with connection:
                await asyncio.get_running_loop().sock_recv(connection, 65536)
                await asyncio.get_running_loop().sock_sendall(connection, b"SSH-2.0-OpenSSH_9.2\r\n")

        answering = asyncio.create_task(answer())
        error = await refusal(WebhookSender(f"http://127.0.0.1:{server.getsockname()[1]}/", [ONE], allow_private=True))
        await answering

    assert str(error) == "The receiver does not answer in HTTP: BadStatusLine."  # not what an internal service says
