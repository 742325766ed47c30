"""Django: a model field that keeps an upload, and template tags for its URLs and `<picture>` elements.

Add `darkroom.django` to INSTALLED_APPS, and set DARKROOM_SIZES: the JSON of `GET /sizes`, or the path of a file with
it. For private uploads, set DARKROOM_SIGNING_KEYS to the server's SIGNING_KEYS; for uploads straight from browsers,
DARKROOM_UPLOAD_KEYS to its UPLOAD_KEYS. DARKROOM_URL begins URLs if they should
begin with something else than the server's own `base`.
"""

from darkroom.django.stored_upload import StoredUpload

__all__ = ["StoredUpload"]
