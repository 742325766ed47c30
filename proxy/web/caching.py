"""Conditional requests and ranges (RFC 9110), as pure functions over header values."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


class UnsatisfiableRange(Exception):
    """The range begins behind the end."""


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def not_modified(etag: str, modified: datetime, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Whether the client has it already. The date counts only where no ETag is sent (RFC 9110, 13.2.2)."""
    if if_none_match is not None:
        return if_none_match.strip() == "*" or etag in _ETAG.findall(if_none_match)
    since = _date(if_modified_since)
    return since is not None and modified.replace(microsecond=0) <= since


def byte_range(
    size: int, etag: str, modified: datetime, range_header: str | None, if_range: str | None
) -> tuple[int, int] | None:
    """The one range to send, as (first, past the last); None for the whole.

    Whole too where the header is malformed, names several ranges (RFC 9110 lets a server ignore it) or `If-Range` no
    longer holds. Raises UnsatisfiableRange.
    """
    match = _RANGE.fullmatch(range_header.strip()) if range_header else None
    if not match or match.groups() == ("", "") or not _same(etag, modified, if_range):
        return None
    first, last = match.groups()
    if not first:  # the last N bytes
        start, stop = max(0, size - int(last)), size
    else:
        start, stop = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= stop:
        raise UnsatisfiableRange
    return start, stop


def _same(etag: str, modified: datetime, if_range: str | None) -> bool:
    """`If-Range` needs a strong match: the very ETag, or the very date."""
    if if_range is None:
        return True
    return if_range.strip() == etag or _date(if_range) == modified.replace(microsecond=0)


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):  # OverflowError: numbers no calendar has
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
