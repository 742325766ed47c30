"""Every ObjectStore adapter, and a new key for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
import pytest
from boto3.session import Session
from moto import mock_aws

from proxy.keys import original_key
from proxy.model import UploadId, new_upload_id
from proxy.storage.disk import DiskStore
from proxy.storage.object_store import ObjectStore
from proxy.storage.retrying_store import RetryingStore
from proxy.storage.s3 import S3Store
from tests.contracts.stores import BUCKET, PAGE, store_of
from tests.memory_store import MemoryStore
from tests.s3_gateways import CephGateway, Gateway, JuicefsGateway, missing_gateway
from tests.seaweedfs import SeaweedServer


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[DiskStore]:
    store = DiskStore(tmp_path / "store")
    yield store
    await store.close()


@pytest.fixture
async def memory() -> AsyncIterator[MemoryStore]:
    store = MemoryStore()
    yield store
    await store.close()


@pytest.fixture
def retrying(memory: MemoryStore) -> RetryingStore:
    return RetryingStore(memory)


@pytest.fixture(scope="session")
def moto_store() -> Iterator[S3Store]:
    """Built once, because a client takes 0.2 s."""
    store = S3Store(BUCKET, session=Session("moto", "moto", region_name="eu-central-1"), page=PAGE)
    yield store
    anyio.run(store.close)


@pytest.fixture
def moto(moto_store: S3Store) -> Iterator[S3Store]:
    """Patches all botocore clients of this process with moto, for one test."""
    with mock_aws():
        moto_store._client.create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        yield moto_store


@pytest.fixture(scope="session")
def seaweed(seaweedfs: SeaweedServer) -> Iterator[S3Store]:
    """A store that shares its bucket with others."""
    seaweedfs.create_bucket(BUCKET)
    store = store_of(seaweedfs, prefix="team/darkroom/", page=PAGE)
    yield store
    anyio.run(store.close)


@pytest.fixture(scope="session")
def juicefs() -> Iterator[S3Store]:
    yield from gateway_store(JuicefsGateway)


@pytest.fixture(scope="session")
def ceph() -> Iterator[S3Store]:
    yield from gateway_store(CephGateway)


def gateway_store(gateway: type[Gateway]) -> Iterator[S3Store]:
    if reason := missing_gateway(gateway):
        pytest.skip(reason)
    with gateway(BUCKET) as server:
        store = store_of(server, prefix="team/darkroom/", page=PAGE)
        yield store
        anyio.run(store.close)


GATEWAYS = [pytest.param(f"s3-{name}", marks=pytest.mark.long) for name in ("juicefs", "ceph")]
DEVIATIONS = {
    ("s3-juicefs", "test_put_if_absent_keeps_an_existing_object"): "it ignores If-None-Match, as the doctor says",
}
"""Tests that servers fail: leases alone prevent duplicate work there."""


@pytest.fixture(params=["disk", "memory", "retrying", "s3-moto", "s3-seaweedfs", *GATEWAYS])
def object_store(request: pytest.FixtureRequest) -> ObjectStore:
    if reason := DEVIATIONS.get((request.param, request.node.originalname)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    fixtures = {"s3-moto": "moto", "s3-seaweedfs": "seaweed", "s3-juicefs": "juicefs", "s3-ceph": "ceph"}
    store: ObjectStore = request.getfixturevalue(fixtures.get(request.param, request.param))
    return store


@pytest.fixture
def upload_id() -> UploadId:
    """Returns a new id for each test, because tests share the bucket."""
    return new_upload_id()


@pytest.fixture
def key(upload_id: UploadId) -> str:
    return original_key(upload_id)
