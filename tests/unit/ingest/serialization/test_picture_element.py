"""The ready `<picture>` element."""

from dataclasses import replace

import pytest

from darkroom import picture_html
from ingest.serialization.placeholder import data_url
from ingest.serialization.serializers import Serializer
from proxy.model import Fit, Size, Sizes
from tests.unit.ingest.serialization.picture_element import DEFAULT, ID, IMAGE, Element, candidates, names, picture_of


class TestPicture:
    def test_picture_is_one_element_with_better_formats_first(self) -> None:
        element = picture_of()

        assert [tag for tag, _ in element.tags] == ["picture", "source", "source", "img"]
        assert [attributes.get("type") for _, attributes in element.tags[1:3]] == ["image/avif", "image/webp"]

    @pytest.mark.parametrize(("index", "format"), [(1, "avif"), (2, "webp"), (3, "jpg")])
    def test_every_source_has_all_widths(self, index: int, format: str) -> None:
        attributes = picture_of().tags[index][1]

        assert candidates(attributes["srcset"]) == [
            (f"/images/{ID}/small.{format}", 150),
            (f"/images/{ID}/medium.{format}", 400),
            (f"/images/{ID}/large.{format}", 800),
        ]
        assert attributes["sizes"] == "100vw"

    def test_picture_falls_back_to_the_largest_jpeg_with_dimensions(self) -> None:
        attributes = picture_of().tags[-1][1]

        assert attributes["src"] == f"/images/{ID}/large.jpg"
        assert (attributes["width"], attributes["height"]) == ("800", "800")
        assert attributes["alt"] == ""
        assert attributes["loading"] == "lazy"
        assert attributes["decoding"] == "async"

    def test_picture_has_its_placeholder(self) -> None:
        style = picture_of().tags[-1][1]["style"]

        assert style == f"background:{IMAGE.color} url({data_url(IMAGE.thumbhash)}) center/cover"

    def test_image_with_few_transparent_pixels_falls_back_to_png_without_a_preview(self) -> None:
        upload = replace(IMAGE, alpha=True)
        assert data_url(upload.thumbhash)

        document = Serializer(DEFAULT, "").created(upload)

        assert document["placeholder"]["dataUrl"] is None
        attributes = Element(picture_html(document)).tags[-1][1]
        assert attributes["src"] == f"/images/{ID}/large.png"
        assert "style" not in attributes

    def test_animation_is_offered_as_webp_alone_in_animated_sizes(self) -> None:
        sizes = Sizes(
            Size("clip", 400, 400, Fit.COVER, animated=True),
            Size("large", 300, 300, Fit.COVER),
            Size("wide", 500, 500, Fit.COVER, animated=True),
        )

        def sources(*, animated: bool) -> dict[str, list[int]]:
            document = Serializer(sizes, "").created(replace(IMAGE, animated=animated))
            tags = Element(picture_html(document)).tags[1:]
            return {str(at.get("type")): [width for _, width in candidates(at["srcset"])] for _, at in tags}

        every = [300, 400, 500]
        assert sources(animated=False) == {"image/avif": every, "image/webp": every, "None": every}
        assert sources(animated=True) == {"image/webp": [400, 500], "None": [400, 500]}

    def test_urls_begin_with_the_base_and_are_escaped(self) -> None:
        element = picture_of(base="https://cdn.test/a&copy=b")

        assert element.tags[-1][1]["src"] == f"https://cdn.test/a&copy=b/images/{ID}/large.jpg"
        assert candidates(element.tags[1][1]["srcset"])[0][0] == f"https://cdn.test/a&copy=b/images/{ID}/small.avif"
        assert "a&amp;copy" in element.text
        assert "a&copy" not in element.text

    def test_size_of_another_aspect_ratio_is_left_out(self) -> None:
        sizes = Sizes(
            Size("square", 400, 400, Fit.COVER),
            Size("wide", 1200, 400, Fit.COVER),
            Size("widest", 1800, 600, Fit.COVER),
            Size("high", 400, 1200, Fit.COVER),
        )
        assert names(picture_of(sizes)) == ["wide", "widest"]

    def test_aspect_ratio_tolerates_one_pixel(self) -> None:
        sizes = Sizes(Size("small", 133, 100, Fit.COVER), Size("large", 400, 300, Fit.COVER))

        assert names(picture_of(sizes)) == ["small", "large"]

    def test_aspect_ratio_beyond_the_tolerance_differs(self) -> None:
        sizes = Sizes(Size("small", 140, 100, Fit.COVER), Size("large", 400, 300, Fit.COVER))

        assert names(picture_of(sizes)) == ["large"]

    def test_inside_sizes_keep_the_aspect_ratio(self) -> None:
        sizes = Sizes(Size("thumb", 100, None, Fit.INSIDE), Size("page", 600, 600, Fit.INSIDE))
        element = picture_of(sizes, width=640, height=427)

        assert [width for _, width in candidates(element.tags[-1][1]["srcset"])] == [100, 600]
        assert (element.tags[-1][1]["width"], element.tags[-1][1]["height"]) == ("600", "400")

    def test_no_width_is_listed_twice(self) -> None:
        """Two sizes larger than the picture have its width. HTML allows one candidate per width."""
        sizes = Sizes(Size("page", 1000, None, Fit.INSIDE), Size("poster", 2000, None, Fit.INSIDE))
        widths = [width for _, width in candidates(picture_of(sizes).tags[-1][1]["srcset"])]

        assert len(widths) == len(set(widths))
