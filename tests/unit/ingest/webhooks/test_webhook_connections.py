"""Connections of webhooks: which addresses they may go to, whom they trust, and how they end."""

import asyncio
import socket
import ssl
import sys
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ingest.webhooks import webhook_sender
from ingest.webhooks.webhook_sender import NotDelivered, WebhookSender
from tests.certificates import make_certificate
from tests.receiver import Receiver, receiving
from tests.unit.ingest.webhooks.one_webhook import BODY, ID, ONE, refusal, sender_to


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
    monkeypatch.setattr(webhook_sender, "DEADLINE", 4.0)
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


async def test_receiver_that_refuses_connections_or_has_no_address_is_not_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}/", "http://nowhere.invalid/"):
        error = await refusal(WebhookSender(url, [ONE], allow_private=True))

        assert str(error).startswith("The receiver cannot be reached: ")
        assert not error.is_final


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
