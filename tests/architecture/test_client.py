"""The clients and the server agree on URLs, placeholders and the API's JSON."""

import json
import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from darkroom import describe_upload, variant_url
from ingest.serialization.placeholder import data_url
from ingest.serialization.serializers import Serializer
from ingest.web.openapi import describe
from proxy.model import Fit, Format, Size, Sizes, UploadId
from proxy.settings import Settings
from tests import picture_vectors
from tests.javascript import CLIENT
from tests.photographs import photograph
from tests.thumbhashes import opaque, transparent
from tests.unit.ingest.examples import accepted

ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
SIZES = Sizes(Size("small", 150, 150, Fit.COVER), Size("card-2", 300, None, Fit.INSIDE))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("density", [1, 2, 3])
def test_variant_url_is_parsed_by_the_origin(size: str, format: Format, density: int) -> None:
    prefix, name = variant_url(ID, size, format.value, density=density).rsplit("/", 1)

    variant = SIZES.parse(name)
    assert prefix == f"/images/{ID}"
    assert variant is not None
    assert (variant.size.name, variant.format, variant.density) == (size, format, density)


TYPES = (CLIENT / "src" / "documents.ts").read_text()
SCHEMAS = describe(Settings(), variants=True)["components"]["schemas"]
Field = tuple[bool, bool]


def typed(interface: str) -> dict[str, Field]:
    """The fields of a type of the JavaScript client: whether each may be absent, and whether it may be null."""
    found = re.search(rf"export interface {interface} (?:extends (\w+) )?{{\n(.*?)\n}}", TYPES, re.DOTALL)
    assert found, interface
    fields = re.findall(r"^    readonly (\w+)(\??): (.*);$", found[2], re.MULTILINE)
    inherited = typed(found[1]) if found[1] else {}
    return inherited | {name: (bool(mark), kind.endswith(" | null")) for name, mark, kind in fields}


def literals(alias: str) -> list[str]:
    found = re.search(rf"^export type {alias} = (.*);$", TYPES, re.MULTILINE)
    assert found, alias
    return found[1].replace('"', "").split(" | ")


@pytest.mark.parametrize(
    ("interface", "schema"),
    [
        ("AcceptedUpload", "Created"),
        *((name, name) for name in ("Dimensions", "DisplayedSize", "Placeholder", "Privacy")),
        *((name, name) for name in ("ConfiguredSize", "ConfiguredSizes")),
    ],
)
def test_types_of_the_javascript_client_have_the_fields_of_the_api(interface: str, schema: str) -> None:
    required = SCHEMAS[schema]["required"]

    assert typed(interface) == {
        name: (name not in required, {"type": "null"} in field.get("anyOf", []))
        for name, field in SCHEMAS[schema]["properties"].items()
    }


def test_types_of_the_javascript_client_have_the_values_of_the_api() -> None:
    for name in ("JobStatus", "Visibility"):
        assert literals(name) == SCHEMAS[name]["enum"]
    assert literals("SourceFormat") == SCHEMAS["Created"]["properties"]["format"]["enum"]


def decode(thumbhash: str) -> Image.Image:
    with Image.open(BytesIO(b64decode((data_url(thumbhash) or "").partition(",")[2], validate=True))) as image:
        image.load()
        assert (image.format, image.mode) == ("PNG", "RGB")
        return image.copy()


def distance(one: Image.Image, other: Image.Image) -> float:
    """Levels, root mean square."""
    samples: list[NDArray[np.float64]] = [np.asarray(image.convert("RGB"), np.float64) for image in (one, other)]
    return float(np.sqrt(np.mean((samples[0] - samples[1]) ** 2)))


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "coffee.png", "chelsea.png", "camera.png"])
def test_placeholder_looks_like_its_photograph(name: str) -> None:
    """It is less similar to the same photograph, turned or mirrored."""
    picture = photograph(name).convert("RGB")
    image = decode(opaque(picture))

    small = picture.resize(image.size, Image.Resampling.BOX)
    turned = [image.transpose(way) for way in (Image.Transpose.ROTATE_180, Image.Transpose.FLIP_LEFT_RIGHT)]
    assert distance(image, small) < 0.6 * min(distance(one, small) for one in turned)


@pytest.mark.parametrize("name", ["astronaut.png", "rocket.jpg", "retina.jpg", "chelsea.png"])
def test_placeholder_of_a_photograph_is_short(name: str) -> None:
    assert len(data_url(opaque(photograph(name))) or "") < 400


def test_placeholder_of_a_transparent_image_is_left_out() -> None:
    assert data_url(transparent()) is None


def test_picture_vectors_equal_the_servers_responses() -> None:
    """After a change on purpose: `python -m tests.picture_vectors`."""
    assert json.loads(picture_vectors.FILE.read_text(encoding="utf-8")) == json.loads(
        json.dumps(picture_vectors.make())
    )


@given(width=st.integers(1, 10_000), height=st.integers(1, 10_000), animated=st.booleans())
def test_client_describes_an_upload_as_the_server_does(width: int, height: int, *, animated: bool) -> None:
    serializer = Serializer(picture_vectors.SIZES, "https://cdn.test")
    created = serializer.created(accepted(UploadId(ID), width=width, height=height, animated=animated))
    configured = json.loads(json.dumps(serializer.configured_sizes()))

    described = describe_upload(configured, ID, width, height, placeholder=created["placeholder"], animated=animated)

    assert described == {name: created[name] for name in ("sizes", "urls", "placeholder")}
