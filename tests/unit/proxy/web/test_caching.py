"""Conditional requests and ranges (RFC 9110)."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from proxy.web.caching import UnsatisfiableRange, byte_range, http_date, is_not_modified

ETAG = '"5d41402abc4b2a76b9719d911017c592"'
MODIFIED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DATE = "Wed, 04 Mar 2026 05:06:07 GMT"
EARLIER = "Wed, 04 Mar 2026 05:06:06 GMT"
LATER = "Wed, 04 Mar 2026 05:06:08 GMT"
NOT_DATES = [
    "",
    "yesterday",
    "0",
    "2026-03-04T05:06:07Z",
    "Wed, 99 Mar 2026 05:06:07 GMT",
    "Wed, 04 Mar 2026 25:06:07 GMT",
    "Wed, 04 Mar 99999 05:06:07 GMT",
]
DATES_BEYOND_ALL_CALENDARS = [
    "Wed, 04 Mar 99999999999999999999 05:06:07 GMT",
    "Wed, 04 Mar 2026 05:06:07 +99999999999999999999",
    "99999999999 Mar 2026 05:06:07 GMT",
]


class TestDates:
    def test_http_date_has_the_http_format(self) -> None:
        assert http_date(MODIFIED) == DATE

    def test_http_date_is_in_gmt(self) -> None:
        assert http_date(MODIFIED.astimezone(timezone(timedelta(hours=-7)))) == DATE


class TestNotModified:
    @pytest.mark.parametrize(
        "header",
        [
            ETAG,
            f"W/{ETAG}",
            f'"other", {ETAG}',
            f'{ETAG},"other"',
            f'"other" , W/{ETAG} , "third"',
            f'"with, comma",{ETAG}',
            f"  {ETAG}  ",
            "*",
            " * ",
        ],
    )
    def test_matching_etag_is_not_modified(self, header: str) -> None:
        assert is_not_modified(ETAG, MODIFIED, header, None)

    @pytest.mark.parametrize(
        "header",
        [
            "",
            '"other"',
            ETAG.strip('"'),
            ETAG.upper(),
            ETAG[:-2] + '"',
            f'"{ETAG[1:-1]} "',
            '"*"',
            "**",
            "W/*",
            '"',
            ",",
        ],
    )
    def test_other_etag_is_modified(self, header: str) -> None:
        assert not is_not_modified(ETAG, MODIFIED, header, None)

    @pytest.mark.parametrize(
        "since", [DATE, LATER, "Wed, 04 Mar 2026 06:06:07 +0100", "Wednesday, 04-Mar-26 05:06:07 GMT"]
    )
    def test_date_since_the_change_is_not_modified(self, since: str) -> None:
        assert is_not_modified(ETAG, MODIFIED, None, since)

    @pytest.mark.parametrize("since", [EARLIER, *NOT_DATES])
    def test_date_before_the_change_or_malformed_counts_as_modified(self, since: str) -> None:
        assert not is_not_modified(ETAG, MODIFIED, None, since)

    @pytest.mark.parametrize("since", DATES_BEYOND_ALL_CALENDARS)
    def test_impossible_date_is_ignored(self, since: str) -> None:
        assert not is_not_modified(ETAG, MODIFIED, None, since)

    def test_date_is_ignored_beside_an_etag(self) -> None:
        assert not is_not_modified(ETAG, MODIFIED, '"other"', LATER)
        assert not is_not_modified(ETAG, MODIFIED, "", LATER)
        assert is_not_modified(ETAG, MODIFIED, ETAG, EARLIER)

    def test_fractions_of_a_second_are_ignored(self) -> None:
        assert is_not_modified(ETAG, MODIFIED.replace(microsecond=900_000), None, DATE)

    def test_request_without_conditions_is_modified(self) -> None:
        assert not is_not_modified(ETAG, MODIFIED, None, None)


def of_ten(header: str | None, if_range: str | None = None) -> tuple[int, int] | None:
    return byte_range(10, ETAG, MODIFIED, header, if_range)


class TestRanges:
    @pytest.mark.parametrize(
        ("header", "part"),
        [
            ("bytes=0-0", (0, 1)),
            ("bytes=0-9", (0, 10)),
            ("bytes=3-5", (3, 6)),
            ("bytes=9-9", (9, 10)),
            ("bytes=0-", (0, 10)),
            ("bytes=9-", (9, 10)),
            ("bytes=3-10", (3, 10)),
            ("bytes=3-99999", (3, 10)),
            ("bytes=003-005", (3, 6)),
            ("bytes=-1", (9, 10)),
            ("bytes=-10", (0, 10)),
            ("bytes=-11", (0, 10)),
            (" bytes=3-5 ", (3, 6)),
        ],
    )
    def test_single_range_is_clipped_to_the_size(self, header: str, part: tuple[int, int]) -> None:
        assert of_ten(header) == part

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-3",
            "bytes=--1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes=\u0661-\u0662",  # Arabic-Indic digits
            "bytes=0-1,3-4",
            "bytes=0-1,",
            "bytes=0-0,-1",
            "items=0-1",
            "0-1",
        ],
    )
    def test_missing_multiple_or_malformed_ranges_are_ignored(self, header: str | None) -> None:
        assert of_ten(header) is None

    @pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-11", "bytes=99999-", "bytes=-0"])
    def test_range_past_the_end_is_unsatisfiable(self, header: str) -> None:
        with pytest.raises(UnsatisfiableRange):
            of_ten(header)

    @pytest.mark.parametrize("header", ["bytes=0-{}", "bytes={}-", "bytes=-{}", "bytes={0}-{0}"])
    def test_numbers_of_any_length_are_accepted(self, header: str) -> None:
        """Python's int() rejects more than 4300 digits, and headers may be longer."""
        try:
            part = of_ten(header.format("9" * 5000))
        except UnsatisfiableRange:
            part = None
        assert part in (None, (0, 10))

    @pytest.mark.parametrize("if_range", [ETAG, f" {ETAG} ", DATE])
    def test_matching_if_range_keeps_the_range(self, if_range: str) -> None:
        assert of_ten("bytes=3-5", if_range) == (3, 6)

    @pytest.mark.parametrize("if_range", ['"other"', f"W/{ETAG}", f'{ETAG}, "other"', "*", EARLIER, LATER, *NOT_DATES])
    def test_other_if_range_ignores_the_range(self, if_range: str) -> None:
        assert of_ten("bytes=3-5", if_range) is None
        assert of_ten("bytes=99-", if_range) is None

    @pytest.mark.parametrize("if_range", DATES_BEYOND_ALL_CALENDARS)
    def test_impossible_if_range_date_ignores_the_range(self, if_range: str) -> None:
        assert of_ten("bytes=3-5", if_range) is None
