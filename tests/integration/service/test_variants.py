"""Derivation on request: every variant, once, in the negotiated format; and the effect of a deletion."""

import io
from collections import Counter
from collections.abc import Iterator

import pytest
from PIL import Image, ImageCms, ImageOps

from tests import photographs
from tests.camera import camera_jpeg
from tests.client import upload
from tests.crowd import at_once
from tests.http_client import http
from tests.integration.service.conftest import NewStore
from tests.pictures import disc, png
from tests.service import Service
from tests.unit.proxy.imaging.reference import psnr

SIZES = {"small": 150, "medium": 400, "large": 800}
FORMATS = {"jpg": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}
STANDARD = [f"{size}.{format}" for size in SIZES for format in FORMATS]
LIKENESS = {"jpg": 24.0, "png": 38.0, "webp": 25.0, "avif": 25.0}
"""Least PSNR in dB against a full decode. This detailed image measures 24.8 and more in the lossy formats, 42.7 in PNG;
a shift of two pixels measures 18, a lost rotation 9, and PNG without the profile 31."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, new_store: NewStore) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("service"), WARM_UP="false", **new_store()) as service:
        yield service


def straightforward(picture: bytes) -> dict[str, Image.Image]:
    """Renders the same variants without Darkroom's code: full decode, upright, sRGB, centre crop, Lanczos."""
    image = Image.open(io.BytesIO(picture))
    profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    upright = ImageOps.exif_transpose(image)
    srgb = ImageCms.profileToProfile(upright, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    return {name: ImageOps.fit(srgb, (side, side), Image.Resampling.LANCZOS) for name, side in SIZES.items()}


@pytest.mark.slow
def test_uploaded_photograph_has_every_variant(service: Service) -> None:
    photograph = camera_jpeg(orientation=6)
    expected = straightforward(photograph)
    derived = service.metric("darkroom_derivations_total", outcome="ok")
    upload_id = upload(service, photograph)
    bodies = {}
    for name in STANDARD:
        size, _, format = name.partition(".")
        url = f"{service.url}/images/{upload_id}/{name}"
        first, second = http.get(url), http.get(url)
        assert first.headers["cache-status"] == "darkroom; fwd=miss; stored"
        assert second.headers["cache-status"] == "darkroom; hit"
        assert first.content == second.content
        assert first.headers["etag"] == second.headers["etag"]
        picture = Image.open(io.BytesIO(first.content))
        assert (picture.format, picture.size) == (FORMATS[format], (SIZES[size],) * 2)
        assert psnr(picture, expected[size]) > LIKENESS[format], name
        assert not picture.info.keys() & {"exif", "icc_profile", "xmp", "comment"}
        bodies[name] = first.content
    assert service.metric("darkroom_derivations_total", outcome="ok") == derived + 12
    service.stop()

    service.start()
    for name in STANDARD:
        again = http.get(f"{service.url}/images/{upload_id}/{name}")
        assert again.headers["cache-status"] == "darkroom; hit"
        assert again.content == bodies[name]
    assert service.metric("darkroom_derivations_total") == 0
    assert service.metric("darkroom_variant_requests_total", tier="stored") == 12


async def test_64_concurrent_requests_derive_once(service: Service, photograph: bytes) -> None:
    upload_id = upload(service, photograph)
    derived = service.metric("darkroom_derivations_total")

    answers = await at_once([f"{service.url}/images/{upload_id}/large.avif"] * 64)

    assert Counter(answer.status for answer in answers) == {200: 64}
    assert len({answer.body for answer in answers}) == 1
    assert Counter(answer.cache_status for answer in answers)["darkroom; fwd=miss; stored"] == 1
    assert service.metric("darkroom_derivations_total") == derived + 1


def test_auto_negotiates_by_client_and_transparency(service: Service) -> None:
    originals = [png(disc((200, 30, 30))), png(photographs.photograph("coffee.png"))]
    uploads = [upload(service, original) for original in originals]

    def formats(accept: str) -> list[str]:
        urls = [f"{service.url}/images/{upload_id}/small.auto" for upload_id in uploads]
        answers = [http.get(url, headers={"Accept": accept}) for url in urls]
        for answer in answers:
            with Image.open(io.BytesIO(answer.content)) as image:
                assert answer.headers["content-type"] == f"image/{image.format.lower()}"
        return [answer.headers["content-type"] for answer in answers]

    assert formats("image/avif,image/webp,*/*;q=0.8") == ["image/avif", "image/avif"]
    assert formats("image/webp") == ["image/webp", "image/webp"]
    assert formats("*/*") == ["image/png", "image/jpeg"]


def test_deletion_leaves_nothing(service: Service, photograph: bytes) -> None:
    upload_id = upload(service, photograph)
    paths = ("/small.jpg", "/large@2x.webp")
    assert [http.get(f"{service.url}/images/{upload_id}{path}").status_code for path in paths] == [200, 200]

    assert http.delete(f"{service.url}/images/{upload_id}").status_code == 204

    assert http.delete(f"{service.url}/images/{upload_id}").status_code == 404
    for path in ("", "/status", *paths):
        assert http.get(f"{service.url}/images/{upload_id}{path}").status_code == 404
    data = service.folder / "data"
    left = [path for path in data.rglob("*") if upload_id in path.name]
    assert left == [data / "purges" / upload_id]  # the deletion message, which is kept for two minutes
