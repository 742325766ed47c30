"""Cursors of the list of uploads: opaque text that marks where the next page begins."""

import base64
import binascii
from datetime import UTC, datetime

from proxy.model import UploadId, parse_upload_id


class InvalidCursor(Exception):
    """The text is not a cursor of this list."""


def encode_cursor(created_at: datetime, upload_id: UploadId) -> str:
    """Returns the cursor of the page that begins after this upload."""
    return base64.urlsafe_b64encode(f"{created_at.isoformat()} {upload_id}".encode()).decode()


def parse_cursor(cursor: str) -> tuple[datetime, UploadId]:
    """Returns the creation time and id of the upload that the cursor encodes. Raises InvalidCursor."""
    try:
        moment, _, text = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        upload_id = parse_upload_id(text)
        created_at = datetime.fromisoformat(moment)
        created_at.astimezone(UTC)  # the driver would fail on a date outside the calendar
    except (binascii.Error, ValueError, OverflowError) as error:
        raise InvalidCursor from error
    if upload_id is None or created_at.tzinfo is None:
        raise InvalidCursor
    return created_at, upload_id
