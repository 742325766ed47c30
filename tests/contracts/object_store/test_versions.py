"""The contract of every ObjectStore: versions of objects."""

import copy

import pytest

from proxy.keys import original_key, variants_prefix
from proxy.model import UploadId, new_upload_id
from proxy.storage.object_store import ObjectStore
from proxy.storage.s3 import S3Store
from proxy.storage.s3_deletion import S3Deletion
from tests.contracts.stores import keys


class TestVersions:
    async def test_delete_versions_removes_everything_below_the_prefixes_only(
        self, object_store: ObjectStore, upload_id: UploadId
    ) -> None:
        other = new_upload_id()
        for each in (upload_id, other):
            await object_store.put(original_key(each), b"x", content_type="image/png")
            await object_store.put(f"{variants_prefix(each)}small.png", b"x", content_type="image/png")

        for _ in range(2):
            await object_store.delete_versions(original_key(upload_id), variants_prefix(upload_id))

        assert await keys(object_store, original_key(upload_id)) == []
        assert await keys(object_store, variants_prefix(upload_id)) == []
        assert await keys(object_store, original_key(other)) == [original_key(other)]

    async def test_unversioned_store_is_not_versioned(self, object_store: ObjectStore) -> None:
        assert not await object_store.is_versioned()


@pytest.mark.parametrize("object_store", ["s3-moto", "s3-seaweedfs"], indirect=True)
async def test_delete_versions_empties_a_versioned_bucket(object_store: S3Store, upload_id: UploadId) -> None:
    bucket = f"versioned-{upload_id}"
    client = object_store._client
    region = {"LocationConstraint": "eu-central-1"} if client.meta.region_name == "eu-central-1" else None
    client.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": region} if region else {}))
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    object_store = copy.copy(object_store)
    object_store._bucket, object_store._deletion = bucket, S3Deletion(client, bucket)
    key, other = original_key(upload_id), original_key(new_upload_id())
    for each in (key, other):
        for body in (b"first", b"second"):
            await object_store.put(each, body, content_type="image/png")
        await object_store.delete(each)
    assert await object_store.is_versioned()

    await object_store.delete_versions(key)

    left = client.list_object_versions(Bucket=bucket)
    assert {entry["Key"] for entry in (*left.get("Versions", []), *left.get("DeleteMarkers", []))} == {
        object_store._prefix + other
    }
    assert len(left["Versions"]) == 2
