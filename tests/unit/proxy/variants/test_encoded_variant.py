"""EncodedVariant: ETag, metadata and dates."""

import hashlib
from datetime import UTC, datetime

import pytest

from proxy.imaging.target import Measured
from proxy.model import Fit, Format, Size, UploadId, Variant
from proxy.storage.object_store import ObjectInfo, StoredObject
from proxy.variants.encoded_variant import CACHE_CONTROL, EncodedVariant

UPLOAD_ID = UploadId("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
VARIANT = Variant(Size("medium", 400, 400, Fit.COVER), Format.WEBP, 2)
BODY = b"a picture"
MOMENT = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)


def stored(metadata: dict[str, str], body: bytes = BODY) -> EncodedVariant:
    info = ObjectInfo("key", len(body), MOMENT, "image/webp", CACHE_CONTROL, metadata)
    return EncodedVariant.from_store(UPLOAD_ID, VARIANT, StoredObject(info, body))


def test_etag_is_the_quoted_md5_as_in_s3() -> None:
    quoted = f'"{hashlib.md5(BODY, usedforsecurity=False).hexdigest()}"'

    assert EncodedVariant.from_rendering(UPLOAD_ID, VARIANT, BODY, "recipe").etag == quoted
    assert stored({"recipe": "recipe"}).etag == quoted
    assert stored({}, b"another").etag != quoted


def test_metadata_has_recipe_cache_tag_and_md5() -> None:
    tag = "upload-8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a,size-medium@2x,recipe-a1b2c3"
    derived = EncodedVariant.from_rendering(UPLOAD_ID, VARIANT, BODY, "a1b2c3")

    assert derived.metadata == {"recipe": "a1b2c3", "cache-tag": tag, "md5": derived.etag[1:-1]}
    assert stored({"recipe": "a1b2c3"}).metadata == derived.metadata


def test_measured_quality_round_trips_through_metadata() -> None:
    derived = EncodedVariant.from_rendering(UPLOAD_ID, VARIANT, BODY, "a1b2c3", Measured(83, 80.25))

    assert {name: derived.metadata[name] for name in ("quality", "score")} == {"quality": "83", "score": "80.25"}
    assert stored(derived.metadata).measured == derived.measured
    assert stored(derived.metadata).metadata == derived.metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"quality": "83"},
        {"score": "80"},
        {"quality": "high", "score": "80"},
        {"quality": "83.5", "score": "80"},
        {"quality": "0", "score": "80"},
        {"quality": "83", "score": "nan"},
    ],
    ids=str,
)
def test_malformed_or_missing_measurement_is_none(metadata: dict[str, str]) -> None:
    assert stored({"recipe": "a1b2c3"} | metadata).measured is None


def test_stored_variant_keeps_its_recipe() -> None:
    assert stored({"recipe": "old"}).recipe == "old"
    assert stored({"recipe": "old"}).cache_tag.endswith(",recipe-old")


def test_stored_variant_without_metadata_has_no_recipe() -> None:
    assert stored({}).recipe == ""


def test_last_modified_has_whole_seconds() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    derived = EncodedVariant.from_rendering(UPLOAD_ID, VARIANT, BODY, "recipe")

    assert stored({}).last_modified == datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
    assert derived.last_modified.microsecond == 0
    assert before <= derived.last_modified <= datetime.now(UTC)


def test_format_is_that_of_the_variant() -> None:
    assert EncodedVariant.from_rendering(UPLOAD_ID, VARIANT, BODY, "recipe").format is Format.WEBP
    assert stored({}).format is Format.WEBP


def test_cache_control_allows_a_year() -> None:
    assert CACHE_CONTROL == "public, max-age=31536000, immutable"
