"""Counts of what garbage collection would do, and whether that is too much to be right."""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Survey:
    """Numbers of uploads. `accepted` have rows, `orphans` have originals but no rows, `missing` rows but no original.

    `others`: other garbage, without temporary files.
    """

    rows: int = 0
    accepted: int = 0
    originals: int = 0
    orphans: int = 0
    missing: int = 0
    others: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing is garbage, temporary files aside."""
        return not (self.orphans or self.missing or self.others)

    def refusal(self, max_share: float) -> str | None:
        """Returns why nothing may be removed; None if it may."""
        if self.orphans > self.most_orphans(max_share):
            return (
                f"{self.orphans} of {self.originals} originals in the object store have no row in the database, which "
                f"has {self.accepted} uploads. {_limit(max_share)} Probably this is another database, or an older "
                "backup of it: check DATABASE_URL, or rebuild the rows with `darkroom readopt`. If these originals are "
                f"garbage, run `darkroom gc --max-share {_share(self.orphans, self.originals)}`."
            )
        if self.missing > self.most_missing(max_share):
            return (
                f"{self.missing} of {self.accepted} uploads in the database have no original in the object store, "
                f"which has {self.originals} originals. {_limit(max_share)} Probably this is another object store, or "
                "originals were lost: check S3_BUCKET and DATA_DIR, or restore them. If these uploads were deleted, "
                f"run `darkroom gc --max-share {_share(self.missing, self.accepted)}`."
            )
        return None

    def most_orphans(self, max_share: float) -> int:
        """Returns how many originals without rows may be moved to the trash."""
        return _most(max_share, self.originals, is_other_side_empty=self.rows == 0)

    def most_missing(self, max_share: float) -> int:
        """Returns how many uploads without originals may lose their rows."""
        return _most(max_share, self.accepted, is_other_side_empty=self.originals == 0)


def _most(max_share: float, total: int, *, is_other_side_empty: bool) -> int:
    """Returns how many may be removed: a share of `total`, but at least one, because a single crash leaves one.

    If the database or store on the other side is empty, none.
    """
    return max(math.floor(max_share * total + 1e-9), 0 if is_other_side_empty else 1)


def _limit(max_share: float) -> str:
    return f"Nothing was changed, because that is more than GC_MAX_SHARE ({max_share:.0%})."


def _share(number: int, total: int) -> str:
    return f"{math.ceil(100 * number / total) / 100:g}"
