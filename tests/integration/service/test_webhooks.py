"""Webhooks of real servers and workers, verified by the client library."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from darkroom import verify_webhook
from tests.client import completed, until, upload
from tests.cluster import small_picture
from tests.http_client import http
from tests.receiver import Receiver, receiving
from tests.service import PATIENT, Service, darkroom


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture
def settings(tmp_path: Path, receiver: Receiver) -> dict[str, str]:
    secret = darkroom(tmp_path, "keys", "webhook").stdout.strip()
    found = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": secret, "WEBHOOK_ALLOW_PRIVATE": "true"}
    return PATIENT | found | {"PUBLIC_URL": "https://images.example"}


def test_application_hears_of_an_upload_until_its_deletion(
    tmp_path: Path, receiver: Receiver, settings: dict[str, str]
) -> None:
    with Service(tmp_path, **settings) as service:
        upload_id = upload(service, small_picture(1))
        until(lambda: receiver.of(upload_id))
        document = http.get(f"{service.url}/images/{upload_id}").json()

        [ready] = receiver.received
        event = verify_webhook(ready.body, ready.headers, settings["WEBHOOK_SECRET"])
        assert event["type"] == "image.ready"
        assert event["data"] == document
        assert document["status"] == "complete"
        assert document["urls"]["small"]["jpg"].startswith("https://images.example/images/")

        darkroom(tmp_path, "warm", upload_id, **settings)  # changes nothing that was told
        assert http.delete(f"{service.url}/images/{upload_id}").status_code == 204
        until(lambda: len(receiver.received) == 2)
        assert receiver.of(upload_id) == ["image.ready", "image.deleted"]
        assert receiver.received[1].document["data"] == document


@pytest.mark.slow
@pytest.mark.promise("E15")
def test_failing_receiver_delays_nothing_and_a_kill_loses_no_webhook(
    tmp_path: Path, receiver: Receiver, settings: dict[str, str]
) -> None:
    receiver.answers = [(500, {})] * 50
    with Service(tmp_path, **settings) as service:
        upload_id = upload(service, small_picture(1))
        completed(service, upload_id)
        until(lambda: 'outcome="retried"}' in http.get(f"{service.url}/metrics").text)
        service.kill()
        receiver.answers.clear()
        service.start()
        until(lambda: len(receiver.received) > 1 and not receiver.answers, seconds=120)

        ids = {received.headers["webhook-id"] for received in receiver.received}
        assert len(ids) == 1
        assert set(receiver.of(upload_id)) == {"image.ready"}
        until(lambda: 'darkroom_webhooks{status="pending"} 0.0' in http.get(f"{service.url}/metrics").text)


@pytest.mark.slow
def test_webhook_refused_with_410_is_shown_and_sent_again_by_retry(
    tmp_path: Path, receiver: Receiver, settings: dict[str, str]
) -> None:
    receiver.answers = [(410, {})]
    with Service(tmp_path, **settings) as service:
        upload_id = upload(service, small_picture(1))
        until(lambda: receiver.received)
        until(lambda: 'darkroom_webhooks{status="failed"} 1.0' in http.get(f"{service.url}/metrics").text)
        metrics = http.get(f"{service.url}/metrics").text
        assert 'darkroom_webhook_attempts_total{outcome="failed"} 1.0' in metrics
        listed = darkroom(tmp_path, "webhooks", **settings)
        assert listed.returncode == 1
        assert upload_id in listed.stdout
        assert "The receiver answered 410." in listed.stdout
        assert "0 pending, 1 given up" in listed.stdout
        shown = darkroom(tmp_path, "show", upload_id, **settings)
        assert "Not delivered: image.ready, failed. The receiver answered 410." in shown.stdout

        again = darkroom(tmp_path, "webhooks", "--retry", **settings)

        assert again.returncode == 0
        assert "1 will be sent again. " in again.stdout
        until(lambda: receiver.of(upload_id) == ["image.ready"] * 2)
        assert len({received.headers["webhook-id"] for received in receiver.received}) == 1


@pytest.mark.slow
def test_command_without_a_receiver_exits_with_a_message(tmp_path: Path) -> None:
    done = darkroom(tmp_path, "webhooks")

    assert (done.returncode, done.stderr) == (2, "WEBHOOK_URL: it is not set, so there are no webhooks.\n")
