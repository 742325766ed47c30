"""Sending one webhook: its signature, and what counts as delivered."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from darkroom import verify_webhook
from ingest.webhooks import webhook_sender
from ingest.webhooks.webhook_sender import WebhookSender, sign
from proxy.settings import decode_webhook_secret
from tests.receiver import Receiver
from tests.unit.ingest.webhooks.one_webhook import BODY, ID, ONE, OTHER, refusal, sender_to

VECTORS = json.loads((Path(__file__).parents[4] / "clients/vectors/webhooks.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [VECTORS["verify"][0]], ids=lambda case: case["name"])
def test_signature_is_that_of_the_reference_library(case: Any) -> None:
    expected = case["headers"]
    key = decode_webhook_secret(case["secret"])

    assert sign([key], expected["webhook-id"], int(expected["webhook-timestamp"]), case["body"].encode()) == expected


async def test_webhook_is_sent_with_the_signed_body(receiver: Receiver) -> None:
    await sender_to(receiver).send(ID, BODY)

    [received] = receiver.received
    assert received.path == "/hooks/darkroom?source=tests"
    assert received.body == BODY.encode()
    assert verify_webhook(received.body, received.headers, ONE) == json.loads(BODY)
    headers = {name.lower(): value for name, value in received.headers.items()}
    assert headers["webhook-id"] == ID
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"


async def test_each_secret_signs_for_a_change_of_secrets(receiver: Receiver) -> None:
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


async def test_silent_receiver_is_given_up_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_sender, "DEADLINE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts connections
        error = await refusal(WebhookSender(f"http://127.0.0.1:{silent.getsockname()[1]}/", [ONE], allow_private=True))

    assert str(error) == "The receiver did not answer within 0.2 seconds."


async def test_endless_headers_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(BODY.encode())
        writer.write(b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: %s\r\n" % (n, b"x" * 9_000) for n in range(9)) + b"\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await refusal(WebhookSender(f"http://127.0.0.1:{port}/", [ONE], allow_private=True))

    assert str(error) == "The receiver does not answer in HTTP: HTTPException."


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
