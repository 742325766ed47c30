"""Filters of the list of uploads: by owner, external id and ids."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement

from ingest.catalog.tables import images
from proxy.model import UploadId


@dataclass(frozen=True, slots=True)
class UploadFilter:
    """Selects uploads that meet every given condition. Unknown `ids` are left out."""

    owner: str | None = None
    external_id: str | None = None
    ids: Collection[UploadId] | None = None

    def conditions(self) -> Iterator[ColumnElement[bool]]:
        """Yields conditions on `images`, which must all hold. Yields none if every upload is selected."""
        owner: ColumnElement[str] = images.c.owner
        external_id: ColumnElement[str] = images.c.external_id
        if self.ids is not None:
            yield images.c.upload_id.in_(self.ids)
            # An expression instead of a column keeps SQLite from using that column's index, in which it would read all
            # uploads of the owner.
            owner, external_id = owner.concat(""), external_id.concat("")
        if self.owner is not None:
            yield owner == self.owner
        if self.external_id is not None:
            yield external_id == self.external_id


ALL_UPLOADS = UploadFilter()
