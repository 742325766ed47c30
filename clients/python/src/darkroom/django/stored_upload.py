"""The data of an upload that a model keeps: enough to render it without asking the server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from darkroom.describe_upload import Visibility, check_dimensions, describe_upload
from darkroom.direct_uploads import verify_receipt
from darkroom.documents import ConfiguredSizes, Placeholder
from darkroom.picture import Loading, check_placeholder, picture_html
from darkroom.signing import sign_token
from darkroom.urls import Format, check_upload_id, variant_url

LIFETIME = 3600
"""Seconds for which the URLs of private uploads are valid at least."""


@dataclass(frozen=True)
class StoredUpload:
    """An upload: its id, dimensions in pixels, visibility, placeholder and whether it is animated (None: unknown)."""

    upload_id: str
    width: int
    height: int
    visibility: Visibility = "public"
    placeholder: Placeholder | None = None
    animated: bool | None = None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StoredUpload:
        """Read the JSON of Darkroom's API, or what `to_json` returned. Raises ValueError for anything else.

        Checks every value, so that JSON which a browser sent can neither break a page nor get markup into it.
        """
        try:
            dimensions, placeholder = document["dimensions"], document.get("placeholder")
            upload_id, width, height = document["uploadId"], dimensions["width"], dimensions["height"]
            visibility, animated = document.get("visibility", "public"), document.get("animated")
            check_upload_id(upload_id)
            check_dimensions(width, height)
            if visibility not in ("public", "private"):
                raise ValueError(f"visibility is public or private, not {visibility!r}")
            if animated not in (True, False, None):
                raise ValueError(f"animated is true or false, not {animated!r}")
            if placeholder is not None:
                check_placeholder(placeholder)
                placeholder = Placeholder(
                    thumbhash=str(placeholder["thumbhash"]),
                    color=placeholder["color"],
                    dataUrl=placeholder["dataUrl"],
                )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is not the JSON of an upload from Darkroom's API ({error!r})") from error
        return cls(upload_id, width, height, visibility, placeholder, animated)

    @classmethod
    def from_receipt(cls, document: Mapping[str, Any], *, owner: str | None) -> StoredUpload:
        """Read the JSON of an upload that a browser sends. The id is the one that its `receipt` proves.

        The rest is not proved: it only decides how pages show the image. `owner`: as for `darkroom.verify_receipt`.
        Raises VerificationError if the receipt is missing, not genuine or of another owner, ValueError for other JSON,
        ImproperlyConfigured without DARKROOM_UPLOAD_KEYS.
        """
        keys = getattr(settings, "DARKROOM_UPLOAD_KEYS", None)
        if not keys:
            raise ImproperlyConfigured("DARKROOM_UPLOAD_KEYS is not set: receipts need the server's UPLOAD_KEYS")
        receipt = verify_receipt(document.get("receipt") if isinstance(document, Mapping) else None, keys, owner=owner)
        return cls.from_json({**document, "uploadId": receipt.upload_id})

    def to_json(self) -> dict[str, Any]:
        """Return what the database keeps."""
        return {
            "uploadId": self.upload_id,
            "dimensions": {"width": self.width, "height": self.height},
            "visibility": self.visibility,
            "placeholder": self.placeholder,
            "animated": self.animated,
        }

    def token(self, lifetime: int = LIFETIME) -> str | None:
        """Return a token for a private upload, valid for at least `lifetime` seconds; None for a public one."""
        if self.visibility == "public":
            return None
        keys = getattr(settings, "DARKROOM_SIGNING_KEYS", None)
        if not keys:
            raise ImproperlyConfigured(
                "DARKROOM_SIGNING_KEYS is not set: private uploads need the server's SIGNING_KEYS"
            )
        return sign_token(self.upload_id, keys, lifetime=lifetime)

    def url(
        self, size: str, format: Format = "auto", *, density: Literal[1, 2, 3] = 1, lifetime: int = LIFETIME
    ) -> str:
        """Return the URL of a variant, with a token if the upload is private."""
        return variant_url(
            self.upload_id, size, format, density=density, base=configured()["base"], token=self.token(lifetime)
        )

    def picture(
        self,
        sizes: str = "100vw",
        *,
        alt: str = "",
        size: str | None = None,
        loading: Loading = "lazy",
        placeholder: bool = True,
        lifetime: int = LIFETIME,
    ) -> str:
        """Return a `<picture>` element, with tokens if the upload is private. See `darkroom.picture_html`."""
        upload = describe_upload(
            configured(),
            self.upload_id,
            self.width,
            self.height,
            placeholder=self.placeholder,
            visibility=self.visibility,
            animated=self.animated,
        )
        token = self.token(lifetime)
        return picture_html(upload, sizes, alt=alt, size=size, loading=loading, placeholder=placeholder, token=token)


def configured() -> ConfiguredSizes:
    """Return the sizes of DARKROOM_SIZES, with DARKROOM_URL as their base if it is set."""
    sizes = getattr(settings, "DARKROOM_SIZES", None)
    if sizes is None:
        raise ImproperlyConfigured("DARKROOM_SIZES is not set: the JSON of GET /sizes, or the path of a file with it")
    document: ConfiguredSizes = _read(str(sizes)) if isinstance(sizes, (str, Path)) else sizes
    base = getattr(settings, "DARKROOM_URL", None)
    return document if base is None else {**document, "base": base.rstrip("/")}


@lru_cache(maxsize=4)
def _read(path: str) -> ConfiguredSizes:
    try:
        document: ConfiguredSizes = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ImproperlyConfigured(f"DARKROOM_SIZES: {path} is not a readable JSON file ({error})") from error
    return document
