"""Checks that database and object store belong together, and whether the store keeps versions of deleted uploads."""

from ingest.ingest_errors import InstallationMismatch
from ingest.installation import Installation
from ingest.maintenance.doctor.findings import CheckResult, failed, ok, skipped, warning
from proxy.errors import StoreUnavailable, Unavailable
from proxy.keys import original_key
from proxy.model import new_upload_id
from proxy.storage.object_store import ObjectStore

_OF_A_RIGHT = ("AccessDenied", "403", "other")
"""Error codes of a missing permission. With others, such as those of expired keys, the store refuses every call."""


async def installation_ids(installation: Installation) -> CheckResult:
    """Checks that both sides have the same id. Skipped if one cannot be read. Raises InstallationMismatch."""
    try:
        ids = await installation.check()
    except InstallationMismatch:
        raise
    except Unavailable:
        return skipped("the database or the object store cannot be read yet")
    if ids.database is None and ids.store is None:
        return ok("the first start gives database and object store an id")
    if ids.mismatch:
        return ok("the next start gives both sides the same id: there is no upload yet")
    return ok(f"database and object store belong to installation {ids.database}")


async def versions(store: ObjectStore, *, delete_versions: bool) -> CheckResult:
    """Checks whether old versions of deleted images stay readable. Raises StoreUnavailable."""
    try:
        is_versioned = await store.is_versioned()
    except StoreUnavailable as error:
        if error.is_outage or error.reason not in _OF_A_RIGHT:
            raise
        return warning(f"It is unknown whether the bucket keeps versions: grant s3:GetBucketVersioning. ({error})")
    if not is_versioned:
        return ok("deleted objects are gone: no versions are kept")
    if not delete_versions:
        return warning(
            "The bucket keeps versions, so deleted images stay readable to holders of s3:GetObjectVersion: set "
            "DELETE_VERSIONS=true, or give the bucket a lifecycle rule with NoncurrentVersionExpiration."
        )
    key = original_key(new_upload_id())
    try:
        await store.put(key, b"trial", content_type="text/plain")
        await store.delete_versions(key)
    except StoreUnavailable as error:
        if error.is_outage:
            raise
        return failed(f"Grant s3:ListBucketVersions on the bucket and s3:DeleteObjectVersion on its objects. ({error})")
    finally:
        await store.delete(key)
    return ok("a deletion removes all versions")
