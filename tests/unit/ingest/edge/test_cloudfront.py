"""CloudFront invalidations: against moto, and against botocore's stub for errors that moto never returns."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from threading import Event, Lock
from typing import Any

import pytest
from anyio.to_thread import current_default_thread_limiter
from boto3.session import Session
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber
from moto import mock_aws
from structlog.testing import capture_logs

from ingest.edge import cloudfront as module
from ingest.edge.cloudfront import CloudFront
from ingest.ingest_errors import CdnUnavailable
from tests.fakes import eventually

pytestmark = pytest.mark.heavy

DISTRIBUTION = "EDFDVBD6EXAMPLE"
CONFIGURATION = {
    "CallerReference": "a test",
    "Comment": "",
    "Enabled": True,
    "Origins": {"Quantity": 1, "Items": [{"Id": "origin", "DomainName": "origin.example.com"}]},
    "DefaultCacheBehavior": {"TargetOriginId": "origin", "ViewerProtocolPolicy": "allow-all"},
}
SESSION = Session("key", "secret", region_name="us-east-1")


@pytest.fixture
def cloudfront() -> CloudFront:
    return CloudFront(DISTRIBUTION, session=SESSION)


@pytest.fixture
def stub(cloudfront: CloudFront) -> Iterator[Stubber]:
    with Stubber(cloudfront._client) as stub:
        yield stub
        stub.assert_no_pending_responses()


def answer(stub: Stubber, tags: object = ANY) -> None:
    batch = ANY if tags is ANY else {"Paths": {"Quantity": len(tags), "Items": tags}, "CallerReference": ANY}
    stub.add_response("create_invalidation", {}, {"DistributionId": DISTRIBUTION, "InvalidationBatch": batch})


@pytest.mark.heavy
async def test_every_tag_is_invalidated() -> None:
    with mock_aws(), closing(Session("key", "secret", region_name="us-east-1").client("cloudfront")) as client:
        distribution = client.create_distribution(DistributionConfig=CONFIGURATION)["Distribution"]["Id"]
        cloudfront = CloudFront(distribution, session=SESSION)

        await cloudfront.invalidate(["upload-1", "recipe-2"])

        [made] = client.list_invalidations(DistributionId=distribution)["InvalidationList"]["Items"]
        batch = client.get_invalidation(DistributionId=distribution, Id=made["Id"])["Invalidation"]["InvalidationBatch"]
        assert batch["Paths"] == {"Quantity": 2, "Items": ["#upload-1", "#recipe-2"]}
        cloudfront._client.close()


async def test_many_tags_are_sent_in_batches(cloudfront: CloudFront, stub: Stubber) -> None:
    tags = [f"upload-{number}" for number in range(2001)]
    for batch in (tags[:1000], tags[1000:2000], tags[2000:]):
        answer(stub, [f"#{tag}" for tag in batch])

    await cloudfront.invalidate(tags)


@pytest.mark.parametrize("code", ["TooManyInvalidationsInProgress", "Throttling", "ServiceUnavailable"])
async def test_retryable_error_is_retried_and_logged(
    cloudfront: CloudFront, stub: Stubber, slept: list[float], code: str
) -> None:
    stub.add_client_error("create_invalidation", code)
    stub.add_client_error("create_invalidation", code)
    answer(stub)

    with capture_logs() as logs:
        await cloudfront.invalidate(["upload-1"])

    assert slept == [0.5, 1.0]
    event = "CloudFront invalidation failed, retry scheduled"
    assert [(line["event"], line["retry_in"]) for line in logs] == [(event, seconds) for seconds in slept]
    assert all(code in line["error"] for line in logs)


async def test_every_attempt_has_the_same_reference(
    cloudfront: CloudFront, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    references = []

    def create_invalidation(**request: Any) -> None:
        references.append(request["InvalidationBatch"]["CallerReference"])
        if len(references) < 3:
            raise EndpointConnectionError(endpoint_url="x")

    monkeypatch.setattr(cloudfront._client, "create_invalidation", create_invalidation)
    await cloudfront.invalidate(["upload-1"])
    await cloudfront.invalidate(["upload-1"])

    first, second, third, other = references
    assert first == second == third != other
    assert slept == [0.5, 1.0]


async def test_persistent_error_raises_after_four_attempts(
    cloudfront: CloudFront, stub: Stubber, slept: list[float]
) -> None:
    for _ in range(4):
        stub.add_client_error("create_invalidation", "TooManyInvalidationsInProgress")

    with pytest.raises(CdnUnavailable, match="TooManyInvalidationsInProgress"):
        await cloudfront.invalidate(["upload-1"])
    assert slept == [0.5, 1.0, 2.0]


@pytest.mark.parametrize(
    ("code", "advice"),
    [("NoSuchDistribution", "CDN_DISTRIBUTION_ID"), ("AccessDenied", "cloudfront:CreateInvalidation")],
)
async def test_configuration_error_raises_without_retry(
    cloudfront: CloudFront, stub: Stubber, slept: list[float], code: str, advice: str
) -> None:
    stub.add_client_error("create_invalidation", code)

    with pytest.raises(CdnUnavailable, match=advice):
        await cloudfront.invalidate(["upload-1"])
    assert slept == []


@pytest.mark.heavy
async def test_network_error_raises_cdn_unavailable_after_retries(slept: list[float]) -> None:
    cloudfront = CloudFront(DISTRIBUTION, session=SESSION, endpoint_url="http://127.0.0.1:9")

    with pytest.raises(CdnUnavailable, match="EndpointConnectionError"):
        await cloudfront.invalidate(["upload-1"])
    assert len(slept) == 3
    cloudfront._client.close()


async def test_withdrawn_tags_are_invalidated_again_after_a_pause(
    cloudfront: CloudFront, stub: Stubber, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A response that was on its way while the first invalidation came would stay for a year."""
    pauses = []

    async def sleep(seconds: float) -> None:
        stub.assert_no_pending_responses()
        pauses.append(seconds)
        answer(stub, ["#upload-1", "#upload-2"])

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    answer(stub, ["#upload-1", "#upload-2"])

    await cloudfront.invalidate(["upload-1", "upload-2"], withdrawn=True)

    assert pauses == [2]


async def test_no_tags_send_no_request(cloudfront: CloudFront, stub: Stubber) -> None:
    await cloudfront.invalidate([])  # the stub raises for any request
    await cloudfront.invalidate([], withdrawn=True)


class Hanging:
    """A client whose calls wait in their threads until `answer` is set."""

    def __init__(self) -> None:
        self.answer = Event()
        self.running = self.most = self.ended = 0
        self._lock = Lock()

    def create_invalidation(self, **_request: Any) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        assert self.answer.wait(30)
        with self._lock:
            self.running -= 1
            self.ended += 1


@pytest.fixture
def hanging(cloudfront: CloudFront) -> Iterator[Hanging]:
    cloudfront._client.close()
    cloudfront._client = client = Hanging()
    yield client
    client.answer.set()


async def test_concurrent_invalidations_share_four_threads_of_their_own(
    cloudfront: CloudFront, hanging: Hanging
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(6):
            group.create_task(cloudfront.invalidate([f"upload-{number}"]))
        await eventually(lambda: hanging.running == 4)
        assert current_default_thread_limiter().borrowed_tokens == 0
        hanging.answer.set()

    assert (hanging.most, hanging.ended) == (4, 6)


async def test_silent_cloudfront_raises_at_the_deadline(
    cloudfront: CloudFront, hanging: Hanging, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_DEADLINE", 0.01)

    with pytest.raises(CdnUnavailable, match="did not answer"):
        await cloudfront.invalidate(["upload-1"])

    assert hanging.ended == 0
