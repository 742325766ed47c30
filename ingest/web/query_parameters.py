"""The query parameters of ingest's calls: each known and sent once."""

import re
from collections.abc import Collection

from starlette.requests import Request

from ingest.catalog.upload_filter import UploadFilter
from ingest.ingest_errors import Malformed, UnknownField
from ingest.uploads.field_values import read_external_id, read_owner
from proxy.model import UploadId, parse_upload_id

PAGE, MAX_PAGE = 20, 100
"""Default and maximum number of uploads on a page of `GET /images`."""
MAX_IDS = 100
"""Ids in one `ids` parameter: with commas 3,700 characters, which every proxy lets through."""


def read_query(request: Request, known: Collection[str]) -> dict[str, str]:
    """Returns the parameters by name. Raises UnknownField, or Malformed for a repeated one."""
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            listed = ", ".join(f"`{each}`" for each in known)
            advice = f"The parameters are {listed}." if known else "This call has none."
            raise UnknownField(f"There is no query parameter `{name[:64]}`. {advice}")
        if name in values:
            raise Malformed(f"The request has two `{name}` parameters. Send one.")
        values[name] = value
    return values


def read_filter(values: dict[str, str]) -> UploadFilter:
    """Returns a list's filter. Raises InvalidField for a wrong owner or external id, Malformed for wrong `ids`."""
    return UploadFilter(
        read_owner(values["owner"]) if "owner" in values else None,
        read_external_id(values["externalId"]) if "externalId" in values else None,
        read_ids(values["ids"]) if "ids" in values else None,
    )


def read_limit(values: dict[str, str], wanted: UploadFilter) -> int:
    """Returns the number of uploads on a page; by default `PAGE`, or all that are wanted by id. Raises Malformed."""
    text = values.get("limit", str(PAGE if wanted.ids is None else MAX_PAGE))
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise Malformed(f"`limit` must be a whole number from 1 to {MAX_PAGE}.")
    return int(text)


def read_ids(text: str) -> frozenset[UploadId]:
    """Returns the ids in `text`, which commas separate. Raises Malformed."""
    parts = text.split(",", MAX_IDS)
    ids = frozenset(upload_id for part in parts if (upload_id := parse_upload_id(part)))
    if len(parts) > MAX_IDS or not all(map(parse_upload_id, parts)):
        raise Malformed(f"`ids` must be 1 to {MAX_IDS} upload ids, separated by commas: lower-case UUIDs.")
    return ids
