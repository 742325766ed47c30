"""What is known to be in vain: originals missing or not to be rendered, variants too heavy, uploads deleted."""

from collections.abc import Sequence

from cachetools import TTLCache

from proxy.errors import NotFound, Refused, ServiceError, TooHeavy, UnknownUpload
from proxy.model import UploadId, Variant

_MAX = 10_000  # of each kind; an entry weighs about a kilobyte


class Refusals:
    """`ttl`: seconds for which a refusal is remembered. `longest`: seconds that a derivation under way may take."""

    def __init__(self, ttl: float, longest: float) -> None:
        self._originals: TTLCache[UploadId, ServiceError] = TTLCache(_MAX, ttl)
        self._variants: TTLCache[tuple[UploadId, Variant], ServiceError] = TTLCache(_MAX, ttl)
        # Longer than any derivation under way, so that none brings a deleted upload back into memory.
        self._deleted: TTLCache[UploadId, bool] = TTLCache(_MAX, max(ttl, 2 * longest))

    def check(self, upload_id: UploadId, variant: Variant) -> None:
        """Raises what is known to come of asking for it."""
        if self.is_deleted(upload_id):
            raise UnknownUpload("This picture was deleted.")
        if refusal := self._variants.get((upload_id, variant)):
            raise refusal.afresh()

    def check_original(self, upload_id: UploadId, variant: Variant) -> None:
        """Raises what is known to come of deriving it. What is stored may have outlived its original: look first."""
        if refusal := self._originals.get(upload_id):
            self._variants[upload_id, variant] = refusal
            raise refusal.afresh()

    def remember(self, upload_id: UploadId, variants: Sequence[Variant], error: ServiceError) -> None:
        """Remembers what asking again for `variants`, together, will not change."""
        if not isinstance(error, (NotFound, Refused)) or error.retryable:
            return
        if isinstance(error, TooHeavy):
            if len(variants) > 1:
                return  # each of them by itself may well be light enough
        else:
            self._originals[upload_id] = error.afresh()
        for variant in variants:
            self._variants[upload_id, variant] = error.afresh()

    def note_deletion(self, upload_id: UploadId) -> None:
        self._deleted[upload_id] = True

    def is_deleted(self, upload_id: UploadId) -> bool:
        return upload_id in self._deleted
