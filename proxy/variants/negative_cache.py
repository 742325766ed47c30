"""What is known to be in vain: originals missing or not to be rendered, variants too heavy, uploads deleted."""

from collections.abc import Sequence

from cachetools import TTLCache

from proxy.errors import NotFound, Refused, ServiceError, TooHeavy, UnknownUpload
from proxy.model import UploadId, Variant

_MAX = 10_000  # of each kind; an entry weighs about a kilobyte


class NegativeCache:
    """`ttl`: seconds for which a refusal is remembered. `longest`: seconds that a derivation under way may take."""

    def __init__(self, ttl: float, longest: float) -> None:
        self._negative_cache: TTLCache[UploadId | tuple[UploadId, Variant], ServiceError] = TTLCache(_MAX, ttl)
        # Longer than any derivation under way, so that none brings a deleted upload back into memory.
        self._deleted: TTLCache[UploadId, bool] = TTLCache(_MAX, max(ttl, 2 * longest))

    def check(self, upload_id: UploadId, variant: Variant) -> None:
        """Raises what is known to come of asking for it."""
        if self.is_deleted(upload_id):
            raise UnknownUpload("This picture was deleted.")
        if refusal := self._negative_cache.get(upload_id) or self._negative_cache.get((upload_id, variant)):
            raise refusal.afresh()

    def remember(self, upload_id: UploadId, variants: Sequence[Variant], error: ServiceError, *, whole: bool) -> None:
        """Remembers, if it lasts, what came of asking for `variants` together: of these, or of the `whole` upload."""
        if not lasts(error):
            return
        if not isinstance(error, TooHeavy) and whole:
            self._negative_cache[upload_id] = error.afresh()
        elif not isinstance(error, TooHeavy) or len(variants) == 1:  # or each may well be light enough by itself
            for variant in variants:
                self._negative_cache[upload_id, variant] = error.afresh()

    def note_deletion(self, upload_id: UploadId) -> None:
        self._deleted[upload_id] = True

    def is_deleted(self, upload_id: UploadId) -> bool:
        return upload_id in self._deleted


def lasts(error: ServiceError) -> bool:
    """Whether asking again will not change it."""
    return isinstance(error, (NotFound, Refused)) and not error.retryable
