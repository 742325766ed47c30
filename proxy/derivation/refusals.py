"""What needs no look into the store: uploads known as missing, undecodable or just deleted, and variants too heavy."""

from collections.abc import Sequence

from cachetools import TTLCache

from proxy.errors import NotFound, Refused, ServiceError, TooHeavy, UnknownUpload
from proxy.model import UploadId, Variant

_MAX = 10_000  # ids of each kind; an entry weighs about a kilobyte


class Refusals:
    """`ttl`: seconds for which a refusal is remembered. `longest`: seconds that a derivation under way may take."""

    def __init__(self, ttl: float, longest: float) -> None:
        self._refusals: TTLCache[UploadId | tuple[UploadId, Variant], ServiceError] = TTLCache(_MAX, ttl)
        # Longer than any derivation under way, so that none brings a deleted upload back into memory.
        self._deleted: TTLCache[UploadId, bool] = TTLCache(_MAX, max(ttl, 2 * longest))

    def check(self, upload_id: UploadId, variant: Variant) -> None:
        """Raises what is known to come of asking for it."""
        if refusal := self._refusals.get(upload_id) or self._refusals.get((upload_id, variant)):
            raise refusal.afresh()

    def remember(self, upload_id: UploadId, variants: Sequence[Variant], error: ServiceError) -> None:
        """Remembers what asking again for `variants`, together, will not change."""
        if isinstance(error, TooHeavy):
            if len(variants) == 1:  # or each of them by itself may well be light enough
                self._refusals[upload_id, variants[0]] = error.afresh()
        elif isinstance(error, (NotFound, Refused)) and not error.retryable:
            self._refusals[upload_id] = error.afresh()

    def note_deletion(self, upload_id: UploadId) -> None:
        self._refusals[upload_id] = UnknownUpload("This picture was deleted.")
        self._deleted[upload_id] = True

    def take_deletion_back(self, upload_id: UploadId) -> None:
        self._refusals.pop(upload_id, None)
        self._deleted.pop(upload_id, None)

    def is_deleted(self, upload_id: UploadId) -> bool:
        return upload_id in self._deleted
