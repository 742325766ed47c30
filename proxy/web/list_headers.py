"""Request headers whose value is a list, which clients may send in several lines."""

from starlette.datastructures import Headers


def join_lines(headers: Headers, name: str) -> str | None:
    """Returns the lines of a header as one value (RFC 9110, 5.3); None if there are none."""
    lines = headers.getlist(name)
    return ", ".join(lines) if lines else None
