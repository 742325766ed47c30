"""The ready `<picture>` element and the JSON of uploads."""

from dataclasses import dataclass, field, replace
from html.parser import HTMLParser

import pytest

from darkroom import picture_html
from ingest.records import Job, JobStatus, PrivateMetadata, VariantState, WarmedVariant
from ingest.web.placeholder import data_url
from ingest.web.serializers import Serializer, displayed_size
from proxy.model import Fit, Size, Sizes, Variant
from tests.unit.ingest.examples import accepted

DEFAULT = Sizes(
    *(Size(name, side, side, Fit.COVER) for name, side in (("small", 150), ("medium", 400), ("large", 800)))
)
IMAGE = accepted(width=640, height=427)
ID = IMAGE.upload_id


@dataclass
class Element(HTMLParser):
    """Returns tags with their attributes, in order. Fails on unbalanced tags."""

    text: str
    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in ("source", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        raise AssertionError(f"text in a picture: {data}")


def picture_of(sizes: Sizes = DEFAULT, *, base: str = "", width: int = 640, height: int = 427) -> Element:
    upload = accepted(ID, width=width, height=height)
    job = Job(ID, JobStatus.PENDING, 0, None, upload.created_at, upload.created_at)
    return Element(Serializer(sizes, base).upload(upload, job)["picture"])


def candidates(srcset: str | None) -> list[tuple[str, int]]:
    """Parses a srcset to URLs with widths; no URL may contain a comma."""
    assert srcset
    pairs = [candidate.split() for candidate in srcset.split(", ")]
    assert all(width.endswith("w") for _, width in pairs)
    return [(url, int(width[:-1])) for url, width in pairs]


def names(element: Element) -> list[str]:
    """The sizes in the fallback's srcset."""
    return [url.split("/")[-1].removesuffix(".jpg") for url, _ in candidates(element.tags[-1][1]["srcset"])]


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


@pytest.mark.parametrize(
    ("sides", "size", "displayed"),
    [
        ((640, 427), Size("cover", 150, 90, Fit.COVER), (150, 90)),
        ((100, 100), Size("cover", 150, 90, Fit.COVER), (150, 90)),
        ((640, 427), Size("inside", 300, 200, Fit.INSIDE), (300, 200)),
        ((100, 101), Size("huge", 5000, 5000, Fit.INSIDE), (100, 101)),
        ((427, 640), Size("width", 250, None, Fit.INSIDE), (250, 375)),
        ((333, 1000), Size("height", None, 250, Fit.INSIDE), (83, 250)),
        ((101, 9999), Size("line", None, 1, Fit.INSIDE), (1, 1)),
    ],
)
def test_displayed_size_has_the_aspect_ratio_of_its_fit(
    sides: tuple[int, int], size: Size, displayed: tuple[int, int]
) -> None:
    assert displayed_size(size, accepted(width=sides[0], height=sides[1])) == displayed


def test_status_has_measured_quality_and_score() -> None:
    variants = {
        "small.jpg": WarmedVariant("/small.jpg", VariantState.STORED, 1234, 5.6, 83, 80.25),
        "small.png": WarmedVariant("/small.png", VariantState.STORED, 4321, 7.8),
    }
    job = Job(ID, JobStatus.COMPLETE, 100, None, IMAGE.created_at, IMAGE.created_at)

    status = Serializer(DEFAULT, "").status(replace(IMAGE, variants=variants), job)

    assert status["variants"] == {
        "small.jpg": {"state": "stored", "bytes": 1234, "milliseconds": 5.6, "quality": 83, "score": 80.25},
        "small.png": {"state": "stored", "bytes": 4321, "milliseconds": 7.8, "quality": None, "score": None},
    }


@pytest.mark.parametrize(
    ("strip", "removed", "kept"),
    [(True, ["location", "time", "comments"], []), (False, ["comments"], ["location", "time"])],
)
def test_privacy_follows_strip_metadata(strip: bool, removed: list[str], kept: list[str]) -> None:
    private = PrivateMetadata(found=["location", "time", "comments"], in_exif=["location", "time"])

    document = Serializer(DEFAULT, "", strip_metadata=strip).created(replace(IMAGE, private=private))

    assert document["privacy"] == {"removed": removed, "kept": kept}


def test_privacy_of_an_older_upload_is_null() -> None:
    assert Serializer(DEFAULT, "").created(IMAGE)["privacy"] is None


def test_sizes_are_the_displayed_dimensions() -> None:
    sizes = Sizes(Size("square", 400, 400, Fit.COVER), Size("column", 320, None, Fit.INSIDE))

    assert Serializer(sizes, "").created(IMAGE)["sizes"] == {
        "square": {"width": 400, "height": 400},
        "column": {"width": 320, "height": 214},
    }


def test_urls_have_every_size_and_format_and_no_more() -> None:
    urls = Serializer(DEFAULT, "https://cdn.test").created(IMAGE)["urls"]

    assert {
        url.removeprefix(f"https://cdn.test/images/{ID}/") for formats in urls.values() for url in formats.values()
    } == {variant.name for variant in DEFAULT.variants}
    assert all(
        DEFAULT.parse(url.split("/")[-1]) == Variant(DEFAULT[size], format)
        for size, formats in urls.items()
        for format, url in formats.items()
    )
