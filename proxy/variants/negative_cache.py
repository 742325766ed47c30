"""Remembers failures that a retry would meet again, and recent deletions and changes of uploads."""

from collections.abc import Sequence

from cachetools import TTLCache

from proxy.errors import NotFound, Refused, ServiceError, TooHeavy, UnknownUpload
from proxy.model import UploadId, Variant, Visibility

_MAX_ENTRIES = 10_000  # for each of the four caches; an entry takes about a kilobyte


class NegativeCache:
    """Remembers permanent failures, deletions and changes for a while.

    `ttl`: seconds for which a failure is remembered. `derivation_timeout`: seconds that a derivation may take.
    """

    def __init__(self, ttl: float, derivation_timeout: float) -> None:
        self._errors: TTLCache[tuple[UploadId, Variant | Visibility], ServiceError] = TTLCache(_MAX_ENTRIES, ttl)
        self._missing: TTLCache[UploadId, bool] = TTLCache(_MAX_ENTRIES, ttl)
        # Outlasts any running derivation, which would otherwise put a deleted upload back into the memory cache.
        self._deleted: TTLCache[UploadId, bool] = TTLCache(_MAX_ENTRIES, max(ttl, 2 * derivation_timeout))
        # Likewise, for variants of an upload that was changed.
        self._changed: TTLCache[UploadId, bool] = TTLCache(_MAX_ENTRIES, 2 * derivation_timeout)

    def raise_if_cached(self, upload_id: UploadId, variant: Variant) -> None:
        """Raises the remembered error for this variant or its upload."""
        if self.is_deleted(upload_id):
            raise UnknownUpload("This upload was deleted.")
        keys = (upload_id, variant.visibility), (upload_id, variant)
        if error := self._errors.get(keys[0]) or self._errors.get(keys[1]):
            raise error.fresh_copy()

    def remember(
        self, upload_id: UploadId, variants: Sequence[Variant], error: ServiceError, *, whole_upload: bool
    ) -> None:
        """Remembers that `variants`, requested together, failed with `error`.

        Does nothing if the error is not permanent, or if the upload was changed a short time ago.

        `whole_upload`: the error holds for every variant of the upload that has their visibility. TooHeavy is
        remembered only for a single variant: of several that are too heavy together, each may be light enough alone.
        """
        if not is_permanent(error) or self.is_changed(upload_id):  # the change may have caused the error
            return
        if isinstance(error, UnknownUpload):
            self._missing[upload_id] = True
        if not isinstance(error, TooHeavy) and whole_upload:
            self._errors[upload_id, variants[0].visibility] = error.fresh_copy()
        elif not isinstance(error, TooHeavy) or len(variants) == 1:
            for variant in variants:
                self._errors[upload_id, variant] = error.fresh_copy()

    def is_missing(self, upload_id: UploadId) -> bool:
        """Whether a request for a variant of the upload, perhaps another one, found no original."""
        return upload_id in self._missing

    def mark_deleted(self, upload_id: UploadId) -> None:
        """Remembers a deletion for at least as long as a derivation that began before it may run."""
        self._deleted[upload_id] = True

    def is_deleted(self, upload_id: UploadId) -> bool:
        """Whether this process knows that the upload was deleted, as long as `mark_deleted` remembers it."""
        return upload_id in self._deleted

    def mark_changed(self, upload_id: UploadId) -> None:
        """Remembers a change for at least as long as a derivation that began before it may run. Forgets errors."""
        self._changed[upload_id] = True
        self._missing.pop(upload_id, None)
        for key in [key for key in self._errors if key[0] == upload_id]:
            self._errors.pop(key, None)

    def is_changed(self, upload_id: UploadId) -> bool:
        """Whether work that began before a change of the upload may still be running."""
        return upload_id in self._changed

    def may_be_kept(self, upload_id: UploadId) -> bool:
        """Whether a variant that was just read or derived may be cached and stored without checking the original."""
        return not self.is_deleted(upload_id) and not self.is_changed(upload_id)


def is_permanent(error: ServiceError) -> bool:
    """Whether retrying cannot succeed."""
    return isinstance(error, (NotFound, Refused)) and not error.retryable
