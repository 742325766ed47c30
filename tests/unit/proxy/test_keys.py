"""Object store keys."""

from proxy.keys import original_key, variant_key, variant_path, variants_prefix, variants_prefixes
from proxy.model import Fit, Format, Size, UploadId, Variant, Visibility

UPLOAD_ID = UploadId("8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a")
MEDIUM = Size("medium", 400, 400, Fit.COVER)


def test_original_key_has_the_private_prefix() -> None:
    assert original_key(UPLOAD_ID) == "originals/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


def test_variant_key_is_the_path_of_its_url() -> None:
    key = variant_key(UPLOAD_ID, Variant(MEDIUM, Format.WEBP, 2))

    assert key == "images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/medium@2x.webp"


def test_private_variants_have_a_prefix_of_their_own() -> None:
    variant = Variant(MEDIUM, Format.WEBP, visibility=Visibility.PRIVATE)

    assert variant_path(UPLOAD_ID, variant) == "/private/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/medium.webp"
    assert variants_prefixes(UPLOAD_ID) == [f"images/{UPLOAD_ID}/", f"private/{UPLOAD_ID}/"]


def test_variants_prefix_ends_with_a_slash() -> None:
    assert variants_prefix(UPLOAD_ID) == "images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/"
    assert variant_key(UPLOAD_ID, Variant(MEDIUM, Format.JPG)).startswith(variants_prefix(UPLOAD_ID))
