"""The ready `<picture>` element and the JSON of uploads."""

from dataclasses import replace

import PIL.Image
import pytest

from darkroom import picture_html
from ingest.offered_sizes import displayed_size
from ingest.records import Job, JobStatus, PrivateMetadata, VariantState, WarmedVariant
from ingest.serialization.serializers import Serializer
from proxy.model import Fit, Format, Position, Size, Sizes, Variant, Watermark, WatermarkPosition
from proxy.recipe import Recipes
from proxy.settings import Settings
from tests.camera import oriented
from tests.unit.ingest.examples import accepted
from tests.unit.ingest.serialization.picture_element import DEFAULT, ID, IMAGE, names, picture_of
from tests.unit.proxy.imaging.reference import decoded, rendered


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
def test_displayed_size_follows_the_fit_of_the_size(
    sides: tuple[int, int], size: Size, displayed: tuple[int, int]
) -> None:
    assert displayed_size(size, *sides) == displayed


@pytest.mark.parametrize("sides", [(640, 427), (120, 300), (103, 101)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_displayed_size_is_that_of_the_pixels(sides: tuple[int, int], orientation: int) -> None:
    sizes = [
        Size("x", *box, fit, enlarge=enlarge)
        for fit in Fit
        for box in ((200, 150), (99, 250))
        for enlarge in (True, False)
    ]
    recipes, original = Recipes(Settings()), oriented(PIL.Image.new("RGB", sides, "#204060"), orientation)

    files = rendered(original, *(recipes.target(Variant(size, Format.PNG)) for size in sizes))

    assert [decoded(file).size for file in files] == [displayed_size(size, *sides) for size in sizes]


class TestRepeatedPixels:
    WIDTHS = Sizes(*(Size(f"w{width}", width, None, Fit.INSIDE) for width in (320, 640, 1280, 1920)))

    @pytest.mark.parametrize(
        ("width", "offered"),
        [
            (2000, ["w320", "w640", "w1280", "w1920"]),
            (1280, ["w320", "w640", "w1280"]),
            (800, ["w320", "w640", "w1280"]),
            (640, ["w320", "w640"]),
            (200, ["w320"]),
        ],
    )
    def test_only_the_first_size_with_the_originals_pixels_is_offered(self, width: int, offered: list[str]) -> None:
        document = Serializer(self.WIDTHS, "").created(accepted(width=width, height=100))

        assert [*document["urls"]] == offered
        assert {name: size["width"] for name, size in document["sizes"].items()} == {
            name: min(width, size.width) for name, size in self.WIDTHS.items()
        }
        assert names(picture_of(self.WIDTHS, width=width, height=100)) == offered

    def test_size_that_is_not_offered_gives_the_picture_of_the_size_with_its_pixels(self) -> None:
        document = Serializer(self.WIDTHS, "").created(accepted(width=800, height=100))

        assert picture_html(document, size="w1920") == picture_html(document, size="w1280")

    @pytest.mark.parametrize("reverse", [False, True])
    def test_position_makes_no_difference_where_nothing_is_cropped(self, reverse: bool) -> None:
        tile = Size("tile", 400, 400, Fit.COVER, enlarge=False, position=Position.FOCUS)
        sizes = (Size("w320", 320, None, Fit.INSIDE), tile)
        document = Serializer(Sizes(*(sizes[::-1] if reverse else sizes)), "").created(accepted(width=150, height=150))

        assert [*document["urls"]] == ["tile" if reverse else "w320"]
        assert picture_html(document, size="tile") == picture_html(document, size="w320")

    @pytest.mark.parametrize(
        "other",
        [
            Size("other", 900, None, Fit.INSIDE, grayscale=True),
            Size("other", 900, None, Fit.INSIDE, sharpen=0.5),
            Size("other", 900, None, Fit.INSIDE, auto_quality=True),
            Size("other", 900, None, Fit.INSIDE, quality=((Format.JPG, 70),)),
            Size("other", 900, None, Fit.INSIDE, formats=(Format.JPG, Format.WEBP)),
            Size("other", 900, 900, Fit.PAD, enlarge=False),
            Size("other", 640, 427, Fit.COVER),
        ],
        ids=str,
    )
    def test_size_with_other_pixels_or_fixed_sides_is_offered(self, other: Size) -> None:
        sizes = Sizes(Size("page", 800, None, Fit.INSIDE), other)

        assert [*Serializer(sizes, "").created(IMAGE)["urls"]] == ["page", "other"]

    def test_cover_that_does_not_enlarge_may_repeat_pixels(self) -> None:
        sizes = Sizes(*(Size(f"s{side}", side, side, Fit.COVER, enlarge=False) for side in (100, 400, 800)))

        assert [*Serializer(sizes, "").created(accepted(width=300, height=300))["urls"]] == ["s100", "s400"]


def test_animated_is_an_effect_on_animations_alone() -> None:
    serializer = Serializer(Sizes(Size("clip", 300, None, Fit.INSIDE, animated=True)), "")
    still = serializer.created(accepted(width=600, height=400))
    animation = serializer.created(accepted(width=600, height=400, animated=True))

    assert (still["animated"], still["sizes"]["clip"]) == (False, {"width": 300, "height": 200})
    assert (animation["animated"], animation["sizes"]["clip"]["effects"]) == (True, ["animated"])
    assert serializer.configured_sizes()["sizes"]["clip"]["effects"] == ["animated"]


class TestEffects:
    SIZES = Sizes(
        *(Size(f"w{width}", width, None, Fit.INSIDE) for width in (100, 200)),
        Size("grey", 300, None, Fit.INSIDE, grayscale=True),
        Size("padded", 600, 400, Fit.PAD, background="#102030", blur=8),
    )

    def test_sizes_name_their_effects(self) -> None:
        sizes = Serializer(self.SIZES, "").created(accepted(width=600, height=400))["sizes"]

        assert sizes == {
            "w100": {"width": 100, "height": 67},
            "w200": {"width": 200, "height": 133},
            "grey": {"width": 300, "height": 200, "effects": ["grayscale"]},
            "padded": {"width": 600, "height": 400, "effects": ["pad #102030", "blur 8"]},
        }

    def test_watermark_names_its_file_and_options_but_no_path(self) -> None:
        mark = Watermark("0123456789abcdef" * 4, 600, WatermarkPosition.TOP_LEFT, 0.5, 0.2)
        sizes = Sizes(Size("card", 300, None, Fit.INSIDE, grayscale=True, watermark=mark, animated=True))

        document = Serializer(sizes, "").created(accepted(width=600, height=400))

        assert document["sizes"]["card"]["effects"] == ["grayscale", "watermark 01234567 top-left 0.2 0.5"]

    def test_picture_offers_sizes_of_the_same_watermark_together(self) -> None:
        mark = Watermark("a" * 64, 600)
        marks = {"w100": None, "w200": mark, "w300": mark, "w400": replace(mark, width=0.5), "w500": mark}
        sizes = Sizes(*(Size(name, int(name[1:]), None, Fit.INSIDE, watermark=one) for name, one in marks.items()))

        assert names(picture_of(sizes, width=600, height=400)) == ["w100"]
        watermarked = Sizes(*(size for size in sizes.values() if size.watermark == mark))
        assert names(picture_of(watermarked, width=600, height=400)) == ["w200", "w300", "w500"]

    @pytest.mark.parametrize(
        ("sides", "effects"), [((400, 400), []), ((1000, 667), ["position focus"]), ((1001, 1000), ["position focus"])]
    )
    def test_position_is_an_effect_of_sizes_that_crop(self, sides: tuple[int, int], effects: list[str]) -> None:
        width, height = sides
        size = Size("tile", 200, 200, Fit.COVER, position=Position.FOCUS)

        document = Serializer(Sizes(size), "").created(accepted(width=width, height=height))["sizes"]["tile"]

        assert document.get("effects", []) == effects

    def test_position_that_crops_less_than_half_a_pixel_is_none(self) -> None:
        size = Size("tile", 300, 200, Fit.COVER, position=Position.FOCUS)

        assert "effects" not in Serializer(Sizes(size), "").created(accepted(width=1000, height=667))["sizes"]["tile"]

    def test_picture_and_largest_url_have_no_effects_if_there_are_plain_sizes(self) -> None:
        upload = accepted(width=600, height=400)

        assert names(picture_of(self.SIZES, width=600, height=400)) == ["w100", "w200"]
        assert Serializer(self.SIZES, "").largest_url(upload).endswith("/w200.jpg")
        only = Serializer(Sizes(self.SIZES["grey"], self.SIZES["padded"]), "")
        assert only.largest_url(upload).endswith("/padded.jpg")


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


def test_urls_and_configured_sizes_have_the_formats_of_each_size() -> None:
    sizes = Sizes(Size("icon", 32, 32, Fit.COVER, formats=(Format.PNG, Format.WEBP)), Size("card", 64, 64, Fit.COVER))
    serializer = Serializer(sizes, "")

    urls = serializer.created(IMAGE)["urls"]

    formats = {"icon": ["png", "webp"], "card": [*Format]}
    assert {name: [*each] for name, each in urls.items()} == formats
    assert {name: each["formats"] for name, each in serializer.configured_sizes()["sizes"].items()} == formats


@pytest.mark.parametrize(("formats", "name"), [((Format.PNG, Format.WEBP), "x.png"), (tuple(Format), "x.jpg")])
def test_largest_url_is_jpeg_or_else_png(formats: tuple[Format, ...], name: str) -> None:
    serializer = Serializer(Sizes(Size("x", 64, 64, Fit.COVER, formats=formats)), "")

    assert serializer.largest_url(IMAGE) == f"/images/{ID}/{name}"
