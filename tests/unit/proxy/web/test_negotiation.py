"""`.auto` variants: the format by `Accept`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import TooHeavy
from proxy.keys import original_key
from proxy.model import Format
from proxy.web.negotiation import modern_format
from tests.unit.proxy.web.site import Site

TABLE: list[dict[str, Any]] = json.loads((Path(__file__).parents[3] / "negotiation.json").read_text())
AVIF_AND_WEBP = "image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("row", TABLE, ids=[str(row["accept"]) for row in TABLE])
def test_modern_formats_need_an_explicit_accept(row: dict[str, Any]) -> None:
    assert (modern_format(row["accept"]) or "legacy") == row["format"], row["why"]


@pytest.mark.parametrize(
    ("among", "accept", "format"),
    [
        ((Format.JPG, Format.WEBP), "image/avif,image/webp;q=0.5", Format.WEBP),
        ((Format.WEBP, Format.AVIF), "image/avif,image/webp", Format.AVIF),
        ((Format.JPG,), "image/avif,image/webp,image/jpeg;q=0.5", None),
        ((), "image/avif", None),
    ],
)
def test_only_the_given_formats_are_chosen(among: tuple[Format, ...], accept: str, format: Format | None) -> None:
    assert modern_format(accept, among) == format


def test_huge_accept_header_is_parsed_quickly() -> None:
    assert modern_format("image/avif," * 100_000) == "avif"
    assert modern_format("a/b," * 100_000 + "image/avif") is None


class TestAnswers:
    @pytest.mark.parametrize("format", ["avif", "webp"])
    async def test_auto_response_is_the_variants_with_vary_and_content_location(self, site: Site, format: str) -> None:
        named = await site.get(f"medium@2x.{format}", {"Range": "bytes=x"})
        auto = await site.get("medium@2x.auto", {"Accept": f"image/{format}"})

        assert (auto.status, auto.body) == (200, named.body)
        assert auto.headers.pop("vary") == "Accept"
        assert auto.headers.pop("content-location") == f"medium@2x.{format}"
        for headers in (auto.headers, named.headers):
            del headers["server-timing"], headers["cache-status"]
        assert auto.headers == named.headers
        assert auto.headers["content-type"] == f"image/{format}"

    async def test_auto_response_supports_conditions_and_ranges(self, site: Site) -> None:
        whole = await site.get("small.auto", {"Accept": AVIF_AND_WEBP})

        known = await site.get("small.auto", {"Accept": AVIF_AND_WEBP, "If-None-Match": whole.headers["etag"]})
        part = await site.get("small.auto", {"Accept": AVIF_AND_WEBP, "Range": "bytes=1-3"})

        assert (known.status, known.headers["vary"]) == (304, "Accept")
        assert (part.status, part.body, part.headers["vary"]) == (206, whole.body[1:4], "Accept")

    @pytest.mark.parametrize("name", ["unknown.auto", "small@4x.auto", "small.auto.jpg", "small.AUTO", ".auto"])
    async def test_unknown_auto_variant_is_404_without_a_look_up(self, site: Site, name: str) -> None:
        assert (await site.get(name)).status == 404
        assert site.store.calls == []

    async def test_unknown_upload_reaches_the_store_once(self, site: Site) -> None:
        await site.store.inner.delete(original_key(site.upload_id))

        answers = [await site.get("small.auto") for _ in range(5)]

        assert {answer.status for answer in answers} == {404}
        assert len(site.store.calls) == 3  # metadata of the original, variant, original

    async def test_refused_format_affects_only_clients_that_accept_it(self, site: Site) -> None:
        """JPEG may need less memory, and caches keep this response for a minute."""
        site.pool.failure = TooHeavy()

        refused = await site.get("small.auto", {"Accept": "image/avif"})

        assert refused.status == 422
        assert refused.headers["cache-control"] == "public, max-age=60"
        assert refused.headers["vary"] == "Accept"
        site.pool.failure = None
        assert (await site.get("small.auto", {"Accept": "*/*"})).status == 200


class TestAnimations:
    @pytest.mark.parametrize(
        ("accept", "chosen"),
        [
            (AVIF_AND_WEBP, {"still.auto": "avif", "clip.auto": "webp"}),
            ("image/webp,image/avif", {"still.auto": "avif", "clip.auto": "webp"}),
            ("image/avif,image/webp;q=0.5", {"still.auto": "avif", "clip.auto": "webp"}),
            ("image/avif,image/webp;q=0", {"still.auto": "avif", "clip.auto": "avif"}),
            ("image/avif,image/webp;q=0.5,*/*;q=0.8", {"still.auto": "avif", "clip.auto": "avif"}),
            ("*/*", {"still.auto": "jpg", "clip.auto": "jpg"}),
        ],
    )
    async def test_animated_size_of_an_animation_is_webp_for_all_that_accept_it(
        self, make_site: Callable[..., Site], accept: str, chosen: dict[str, str]
    ) -> None:
        site = make_site(sizes={"still": {"width": 24}, "clip": {"width": 24, "animated": True}})
        metadata = {"alpha": "0", "animated": "1"}
        await site.store.inner.put(original_key(site.upload_id), b"", content_type="image/gif", metadata=metadata)

        found = {name: await site.get(name, {"Accept": accept}) for name in chosen}

        formats = {name: answer.headers["content-location"].rpartition(".")[2] for name, answer in found.items()}
        assert formats == chosen

    async def test_still_original_in_an_animated_size_is_avif(self, make_site: Callable[..., Site]) -> None:
        site = make_site(sizes={"clip": {"width": 24, "animated": True}})
        metadata = {"alpha": "0", "animated": "0"}
        await site.store.inner.put(original_key(site.upload_id), b"", content_type="image/png", metadata=metadata)

        answer = await site.get("clip.auto", {"Accept": AVIF_AND_WEBP})

        assert answer.headers["content-location"] == "clip.avif"


class TestFormatsOfASize:
    @pytest.mark.parametrize(
        ("formats", "accept", "chosen"),
        [
            ("jpg webp", AVIF_AND_WEBP, "webp"),
            ("jpg webp", "image/avif", "jpg"),
            ("png avif", AVIF_AND_WEBP, "avif"),
            ("png avif", "image/webp", "png"),
            ("jpg", AVIF_AND_WEBP, "jpg"),
            ("png webp", "*/*", "png"),
        ],
    )
    async def test_auto_chooses_among_the_formats_of_the_size(
        self, make_site: Callable[..., Site], formats: str, accept: str, chosen: str
    ) -> None:
        site = make_site(sizes={"x": {"width": 24, "formats": formats.split()}})
        await site.store.inner.put(original_key(site.upload_id), b"an original", content_type="image/jpeg")

        answer = await site.get("x@2x.auto", {"Accept": accept})

        assert (answer.status, answer.headers["content-location"]) == (200, f"x@2x.{chosen}")
        assert answer.headers["vary"] == "Accept"

    async def test_still_image_in_an_animated_size_without_avif_is_webp(self, make_site: Callable[..., Site]) -> None:
        site = make_site(sizes={"clip": {"width": 24, "animated": True, "formats": ["jpg", "webp"]}})
        metadata = {"alpha": "0", "animated": "0"}
        await site.store.inner.put(original_key(site.upload_id), b"", content_type="image/png", metadata=metadata)

        assert (await site.get("clip.auto", {"Accept": AVIF_AND_WEBP})).headers["content-location"] == "clip.webp"

    @pytest.mark.promise("C2")
    @pytest.mark.parametrize("name", ["x.jpg", "x.jpeg", "x@2x.avif"])
    async def test_format_that_the_size_lacks_is_404_like_an_unknown_size(
        self, make_site: Callable[..., Site], name: str
    ) -> None:
        site = make_site(sizes={"x": {"width": 24, "formats": ["png", "webp"]}})

        lacking, unknown = await site.get(name), await site.get("unknown.jpg")

        assert (lacking.status, lacking.body) == (404, unknown.body)
        assert lacking.headers == unknown.headers
        assert site.store.calls == []


class TestOldClients:
    async def test_jpeg_original_is_served_as_jpeg(self, site: Site) -> None:
        answer = await site.get("small.auto", {"Accept": "*/*"})

        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["content-location"] == "small.jpg"
        assert answer.headers["vary"] == "Accept"

    async def test_transparent_original_is_served_as_png_and_nothing_else_is_derived(self, site: Site) -> None:
        original = original_key(site.upload_id)
        await site.store.inner.put(original, b"an original", content_type="image/png", metadata={"alpha": "1"})

        answer = await site.get("small.auto", {"Accept": "*/*"})
        await site.variant_service.drain()

        assert answer.headers["content-type"] == "image/png"
        assert answer.headers["content-location"] == "small.png"
        stored = [info.key async for info in site.store.inner.list(f"images/{site.upload_id}/")]
        assert stored == [f"images/{site.upload_id}/small.png"]

    async def test_padded_size_of_a_transparent_original_is_served_as_jpeg(
        self, make_site: Callable[..., Site]
    ) -> None:
        site = make_site(sizes={"padded": {"width": 24, "height": 24, "fit": "pad"}})
        original = original_key(site.upload_id)
        await site.store.inner.put(original, b"an original", content_type="image/png", metadata={"alpha": "1"})

        answer = await site.get("padded.auto", {"Accept": "*/*"})

        assert answer.headers["content-location"] == "padded.jpg"
