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
from proxy.storage.memory_store import MemoryStore
from proxy.storage.object_store import ObjectStore
from proxy.storage.retrying_store import RetryingStore
from proxy.storage.s3 import S3Store
from tests.contracts.stores import BUCKET, PAGE, seaweed_store
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
    store = seaweed_store(seaweedfs, prefix="team/darkroom/", page=PAGE)
    yield store
    anyio.run(store.close)


@pytest.fixture(params=["disk", "memory", "retrying", "s3-moto", "s3-seaweedfs"])
def object_store(request: pytest.FixtureRequest) -> ObjectStore:
    fixtures = {"s3-moto": "moto", "s3-seaweedfs": "seaweed"}
    store: ObjectStore = request.getfixturevalue(fixtures.get(request.param, request.param))
    return store


@pytest.fixture
def upload_id() -> UploadId:
    """Returns a new id for each test, because tests share the bucket."""
    return new_upload_id()


@pytest.fixture
def key(upload_id: UploadId) -> str:
    return original_key(upload_id)
