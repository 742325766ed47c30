"""URLs of variants and `<picture>` elements, for back ends that render pages.

Depends on the standard library only, and sends no requests.

>>> variant_url("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", "medium", density=2, base="https://cdn.example.com")
'https://cdn.example.com/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/medium@2x.auto'
"""

from darkroom.documents import Dimensions, DisplayedSize, Placeholder, Upload
from darkroom.picture import picture_html
from darkroom.urls import variant_url

__all__ = ["Dimensions", "DisplayedSize", "Placeholder", "Upload", "picture_html", "variant_url"]
