"""URLs of variants, `<picture>` elements, tokens of private uploads, upload tickets, receipts and webhooks.

Depends on the standard library only, and sends no requests.

>>> variant_url("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "medium", density=2, base="https://cdn.example.com")
'https://cdn.example.com/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/medium@2x.auto'
"""

from darkroom.describe_upload import describe_upload
from darkroom.direct_uploads import Receipt, sign_ticket, verify_receipt
from darkroom.documents import ConfiguredSize, ConfiguredSizes, Dimensions, DisplayedSize, Placeholder, Upload
from darkroom.picture import picture_html
from darkroom.signing import VerificationError, sign_token
from darkroom.urls import variant_url
from darkroom.webhook_verification import verify_webhook

__all__ = [
    "ConfiguredSize",
    "ConfiguredSizes",
    "Dimensions",
    "DisplayedSize",
    "Placeholder",
    "Receipt",
    "Upload",
    "VerificationError",
    "describe_upload",
    "picture_html",
    "sign_ticket",
    "sign_token",
    "variant_url",
    "verify_receipt",
    "verify_webhook",
]
