"""Object store keys. A variant's key is its URL's path, so that a CDN can read the bucket before asking the proxy."""

from proxy.model import UploadId, Variant, Visibility

ORIGINALS_PREFIX = "originals/"
VARIANTS_PREFIXES = {Visibility.PUBLIC: "images/", Visibility.PRIVATE: "private/"}
"""Prefixes of variants by the visibility of their upload, so that a bucket's policy can grant one without the other."""

TRASH_PREFIX = "trash/"
"""Originals without rows, which `darkroom gc` keeps for a while. Nothing serves them."""

FIELDS_PREFIX = "fields/"
"""The fields of applications: owner, external id, metadata. S3 keeps only 2 KB of metadata with an object."""

INSTALLATION_KEY = "installation"
"""The id that this store shares with its database."""

INVALIDATIONS_KEY = "invalidations"
"""The recipes that an unfinished `darkroom refresh` still has to invalidate in the CDN, one a line."""


def original_key(upload_id: UploadId) -> str:
    return f"{ORIGINALS_PREFIX}{upload_id}"


def fields_key(upload_id: UploadId) -> str:
    return f"{FIELDS_PREFIX}{upload_id}"


def trash_key(upload_id: UploadId) -> str:
    return f"{TRASH_PREFIX}{upload_id}"


def variant_key(upload_id: UploadId, variant: Variant) -> str:
    return f"{variants_prefix(upload_id, variant.visibility)}{variant.name}"


def variant_path(upload_id: UploadId, variant: Variant) -> str:
    """The path of the variant's URL."""
    return f"/{variant_key(upload_id, variant)}"


def variants_prefix(upload_id: UploadId, visibility: Visibility = Visibility.PUBLIC) -> str:
    """The prefix of an upload's variant keys. It ends with a slash, so that it matches no other upload."""
    return f"{VARIANTS_PREFIXES[visibility]}{upload_id}/"


def variants_prefixes(upload_id: UploadId) -> list[str]:
    """Every prefix below which the upload may have variants, also from before a change of its visibility."""
    return [variants_prefix(upload_id, visibility) for visibility in Visibility]
