"""Rows that a newer version has written, during a rolling upgrade or after it was taken back."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

from ingest.catalog.row_mapping import to_upload
from ingest.records import PrivateMetadata, VariantState, WarmedVariant
from proxy.model import new_upload_id


def test_unknown_members_of_json_columns_are_left_out() -> None:
    row = SimpleNamespace(
        upload_id=new_upload_id(),
        format="jpeg",
        original_size=1,
        width=1,
        height=1,
        thumbhash="",
        color="#000000",
        variants={"small.jpg": {"url": "/small.jpg", "state": "stored", "bytes": 9, "checksum": "of tomorrow"}},
        created_at=datetime.now(UTC),
        private={"found": ["gps"], "in_exif": ["gps"], "in_tomorrow": []},
        alpha=None,
        focus=None,
        owner=None,
        external_id=None,
        metadata=None,
        sha256=None,
        visibility="public",
        animated=False,
    )

    upload = to_upload(cast("Any", row))

    assert upload.variants == {"small.jpg": WarmedVariant("/small.jpg", VariantState.STORED, 9)}
    assert upload.private == PrivateMetadata(["gps"], ["gps"])
