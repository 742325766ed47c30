"""Uploads that need no look into the store: known as missing, as undecodable, or as just deleted."""

from cachetools import TTLCache

from proxy.errors import NotFound, Refused, ServiceError, UnknownUpload
from proxy.model import UploadId

_MAX = 10_000  # ids of each kind; an entry weighs about a kilobyte


class Refusals:
    """`ttl`: seconds for which a refusal is remembered. `longest`: seconds that a derivation under way may take."""

    def __init__(self, ttl: float, longest: float) -> None:
        self._refusals: TTLCache[UploadId, ServiceError] = TTLCache(_MAX, ttl)
        # Longer than any derivation under way, so that none brings a deleted upload back into memory.
        self._deleted: TTLCache[UploadId, bool] = TTLCache(_MAX, max(ttl, 2 * longest))

    def check(self, upload_id: UploadId) -> None:
        """Raises what is known to come of asking for it."""
        if refusal := self._refusals.get(upload_id):
            raise refusal.afresh()

    def remember(self, upload_id: UploadId, error: ServiceError) -> None:
        """Remembers what asking again will not change."""
        if isinstance(error, (NotFound, Refused)) and not error.retryable:
            self._refusals[upload_id] = error.afresh()

    def note_deletion(self, upload_id: UploadId) -> None:
        self._refusals[upload_id] = UnknownUpload("This picture was deleted.")
        self._deleted[upload_id] = True

    def is_deleted(self, upload_id: UploadId) -> bool:
        return upload_id in self._deleted
