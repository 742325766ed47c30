"""Tags for templates, after `{% load darkroom %}`.

`{% darkroom_picture listing.photo "50vw" alt=listing.title %}` and `{% darkroom_url listing.photo "small" %}`.
"""

from __future__ import annotations

from typing import Literal

from django import template
from django.utils.safestring import SafeString, mark_safe

from darkroom.django.stored_upload import LIFETIME, StoredUpload
from darkroom.picture import Loading
from darkroom.urls import Format

register = template.Library()


@register.simple_tag
def darkroom_url(
    upload: StoredUpload | None,
    size: str,
    format: Format = "auto",
    density: Literal[1, 2, 3] = 1,
    lifetime: int = LIFETIME,
) -> str:
    """Return the URL of a variant, with a token if the upload is private; nothing without an upload."""
    return upload.url(size, format, density=density, lifetime=lifetime) if upload else ""


@register.simple_tag
def darkroom_picture(
    upload: StoredUpload | None,
    sizes: str = "100vw",
    *,
    alt: str = "",
    size: str | None = None,
    loading: Loading = "lazy",
    placeholder: bool = True,
    lifetime: int = LIFETIME,
) -> SafeString:
    """Return a `<picture>` element, with tokens if the upload is private; nothing without an upload."""
    if not upload:
        return SafeString()
    html = upload.picture(sizes, alt=str(alt), size=size, loading=loading, placeholder=placeholder, lifetime=lifetime)
    return mark_safe(html)  # noqa: S308 - picture_html escapes all values
