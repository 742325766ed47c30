"""Sizes, pictures and uploads for ingest's tests."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import PIL.Image

from ingest.records import Upload
from proxy.model import Fit, Size, Sizes, UploadId, new_upload_id
from tests import pictures

SIDES = {"small": 150, "medium": 400, "large": 800}
"""The documented default sizes: their sides in pixels."""
TYPES = {"jpg": "image/jpeg", "png": "image/png", "webp": "image/webp", "avif": "image/avif"}
"""The documented formats and their media types."""

SIZES = Sizes(Size("tiny", 24, 24, Fit.COVER), Size("small", 48, 48, Fit.COVER))
"""Two small sizes, eight variants: their warm-up takes a tenth of a second."""


def image_bytes(width: int = 120, height: int = 110, format: str = "jpeg") -> bytes:
    """A small, valid image file with some content."""
    image = PIL.Image.linear_gradient("L").resize((width, height))
    image = PIL.Image.merge("RGB", (image, image.transpose(PIL.Image.Transpose.ROTATE_180), image))
    return {"jpeg": pictures.jpeg, "png": pictures.png, "webp": pictures.webp}[format](image)


def accepted(upload_id: UploadId | None = None, **changes: Any) -> Upload:
    """An accepted upload, created now."""
    upload = Upload(
        upload_id or new_upload_id(),
        "jpeg",
        4711,
        640,
        427,
        "1QcSHQRnh493V4dIh4eXh1h4kJUI",
        "#7a6b5c",
        {},
        now(),
    )
    return replace(upload, **changes)


def now() -> datetime:
    return datetime.now(UTC)
