"""Conditional requests and ranges (RFC 9110), as pure functions over header values."""

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_ETAG = re.compile(r'(?:W/)?("[^"]*")')


class UnsatisfiableRange(Exception):
    """The range starts after the last byte."""


def http_date(moment: datetime) -> str:
    """Formats a time as headers have it (RFC 9110, 5.6.7)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def is_not_modified(etag: str, modified: datetime, if_none_match: str | None, if_modified_since: str | None) -> bool:
    """Whether the client's copy is current. The date counts only without an ETag (RFC 9110, 13.2.2)."""
    if if_none_match is not None:
        return matches_etag(etag, if_none_match)
    since = _date(if_modified_since)
    return since is not None and modified.replace(microsecond=0) <= since


def matches_etag(etag: str, if_none_match: str) -> bool:
    """Whether `If-None-Match` names the ETag; weak comparison (RFC 9110, 13.1.2)."""
    return if_none_match.strip() == "*" or etag in _ETAG.findall(if_none_match)


def byte_range(
    size: int, etag: str, modified: datetime, range_header: str | None, if_range: str | None
) -> tuple[int, int] | None:
    """The range to send, as (first byte, byte after the last); None for the whole body.

    None also if the header is malformed or names several ranges (RFC 9110 lets a server ignore it), or if `If-Range`
    does not match. Raises UnsatisfiableRange.
    """
    match = _RANGE.fullmatch(range_header.strip()) if range_header else None
    if not match or match.groups() == ("", "") or not _matches_if_range(etag, modified, if_range):
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


def _matches_if_range(etag: str, modified: datetime, if_range: str | None) -> bool:
    """Whether `If-Range` is absent, or names exactly this ETag or date (RFC 9110, 13.1.5)."""
    if if_range is None:
        return True
    return if_range.strip() == etag or _date(if_range) == modified.replace(microsecond=0)


def _date(text: str | None) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text) if text else None
    except (ValueError, OverflowError):  # OverflowError: a field out of a C integer's range
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment
