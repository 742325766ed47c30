"""Where things are in the object store. A variant's key is its URL's path, so that a CDN can read the bucket first."""

from proxy.model import UploadId, Variant

ORIGINALS_PREFIX = "originals/"
VARIANTS_PREFIX = "images/"


def original_key(upload_id: UploadId) -> str:
    return f"{ORIGINALS_PREFIX}{upload_id}"


def variant_key(upload_id: UploadId, variant: Variant) -> str:
    return f"{VARIANTS_PREFIX}{upload_id}/{variant.name}"


def variant_path(upload_id: UploadId, variant: Variant) -> str:
    """The path of its URL."""
    return f"/{variant_key(upload_id, variant)}"


def variants_prefix(upload_id: UploadId) -> str:
    """The slash ends the id, so that no other upload's keys can begin with it."""
    return f"{VARIANTS_PREFIX}{upload_id}/"
