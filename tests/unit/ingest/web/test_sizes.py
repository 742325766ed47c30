"""`GET /sizes`: public, cacheable, and enough to make an upload's URLs."""

from dataclasses import replace

import pytest

from ingest.offered_sizes import look_numbers
from proxy.model import Fit, Format, Position, Size, Sizes, Watermark
from tests.unit.ingest.web.conftest import Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

CROSS_ORIGIN = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}


async def test_response_describes_every_size_in_force(service: Service) -> None:
    sizes = {
        "card": {"width": 300, "height": 200, "position": "focus"},
        "tile": {"width": 300, "height": 300, "fit": "pad", "background": "#aabbcc", "blur": 3},
        "w640": {"width": 640, "warm": ["webp"]},
        "free": {"width": 90, "height": 80, "enlarge": False, "grayscale": True},
    }

    answer = await service.configured(sizes=sizes, cdn_url="https://cdn.test").get("/sizes")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    common = {"densities": [1, 2, 3], "formats": ["jpg", "png", "webp", "avif"]}
    assert answer.json() == {
        "base": "https://cdn.test",
        "sizes": {
            "card": common
            | {
                "width": 300,
                "height": 200,
                "fit": "cover",
                "mayBeSmaller": False,
                "effects": ["position focus"],
                "look": 0,
            },
            "tile": common
            | {
                "width": 300,
                "height": 300,
                "fit": "pad",
                "mayBeSmaller": False,
                "effects": ["pad #aabbcc", "blur 3"],
                "look": 1,
            },
            "w640": common
            | {"width": 640, "height": None, "fit": "inside", "mayBeSmaller": True, "effects": [], "look": 2},
            "free": common
            | {"width": 90, "height": 80, "fit": "cover", "mayBeSmaller": True, "effects": ["grayscale"], "look": 3},
        },
    }
    assert [*answer.json()["sizes"]] == [*sizes]


async def test_response_needs_no_key_and_may_be_cached_and_read_by_every_site(service: Service) -> None:
    answer = await service.configured(api_keys=("first-first-first",)).get("/sizes")

    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert {name: answer.headers.get(name) for name in CROSS_ORIGIN} == CROSS_ORIGIN


async def test_copy_that_is_current_is_confirmed(service: Service) -> None:
    etag = (await service.get("/sizes")).headers["etag"]

    for condition in (etag, f'"other", W/{etag}', "*"):
        answer = await service.get("/sizes", **{"If-None-Match": condition})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag), condition
        assert answer.headers["cache-control"] == "public, max-age=300"
    assert (await service.get("/sizes", **{"If-None-Match": '"other"'})).status_code == 200


async def test_query_parameter_is_refused(service: Service) -> None:
    answer = await service.get("/sizes?size=small", **{"If-None-Match": "*"})

    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert answer.headers["cache-control"] == "no-store"


async def test_etag_follows_the_sizes(service: Service) -> None:
    other = service.configured(sizes={"tiny": {"width": 9, "height": 9}})

    assert (await service.get("/sizes")).headers["etag"] != (await other.get("/sizes")).headers["etag"]


async def test_head_has_no_body_and_other_methods_are_refused(service: Service) -> None:
    async with service.client() as client:
        head, refused = await client.head("/sizes"), await client.post("/sizes")

    assert (head.status_code, head.content) == (200, b"")
    assert (refused.status_code, {*refused.headers["allow"].split(", ")}) == (405, {"GET", "HEAD"})


async def test_look_is_shared_by_sizes_that_repeat_the_same_pixels() -> None:
    mark = Watermark("a" * 64, 600)
    sizes = Sizes(
        Size("cover", 100, 100, Fit.COVER),
        Size("w1", 100, None, Fit.INSIDE),
        Size("w2", 200, None, Fit.INSIDE, warm=(Format.WEBP,)),
        Size("box", 200, 200, Fit.INSIDE),
        Size("crop", 200, 200, Fit.COVER, enlarge=False, position=Position.FOCUS),
        Size("sharp", 200, None, Fit.INSIDE, sharpen=0.5),
        Size("pad", 200, 200, Fit.PAD),
        Size("pad2", 200, 200, Fit.PAD),
        Size("mark", 200, None, Fit.INSIDE, watermark=mark),
        Size("mark2", 400, None, Fit.INSIDE, watermark=replace(mark)),
        Size("mark3", 400, None, Fit.INSIDE, watermark=replace(mark, digest="b" * 64)),
        Size("mark4", 400, None, Fit.INSIDE, watermark=replace(mark, opacity=0.5)),
    )

    assert look_numbers(sizes) == {
        "cover": 0,
        "w1": 1,
        "w2": 1,
        "box": 1,
        "crop": 1,
        "sharp": 2,
        "pad": 3,
        "pad2": 4,
        "mark": 5,
        "mark2": 5,
        "mark3": 6,
        "mark4": 7,
    }
