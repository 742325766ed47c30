"""Parsing of upload ids and variant names."""

import pytest

from proxy.model import (
    Fit,
    Focus,
    Format,
    Size,
    Sizes,
    Variant,
    focus_point,
    new_upload_id,
    parse_focus,
    parse_upload_id,
)

UPLOAD_ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
SMALL = Size("small", 150, 150, Fit.COVER)
HERO = Size("hero-2", 1600, None, Fit.INSIDE)
SIZES = Sizes(SMALL, HERO)


class TestUploadId:
    @pytest.mark.parametrize("text", [UPLOAD_ID, "0" * 8 + "-0000-0000-0000-" + "0" * 12, "f" * 8 + UPLOAD_ID[8:]])
    def test_canonical_uuid_is_accepted(self, text: str) -> None:
        assert parse_upload_id(text) == text

    def test_new_upload_ids_are_valid_and_unique(self) -> None:
        first, second = new_upload_id(), new_upload_id()

        assert parse_upload_id(first) == first
        assert first != second

    @pytest.mark.parametrize(
        "text",
        [
            "",
            UPLOAD_ID.upper(),
            UPLOAD_ID.replace("f", "F", 1),
            "{" + UPLOAD_ID + "}",
            "urn:uuid:" + UPLOAD_ID,
            UPLOAD_ID.replace("-", ""),
            UPLOAD_ID.replace("-", "", 1),
            UPLOAD_ID.replace("-", "_"),
            UPLOAD_ID.replace("8", "\u0668"),  # ARABIC-INDIC DIGIT EIGHT
            UPLOAD_ID.replace("8", "\uff18"),  # FULLWIDTH DIGIT EIGHT
            UPLOAD_ID.replace("a", "\uff41"),  # FULLWIDTH LATIN SMALL LETTER A
            UPLOAD_ID + "\n",
            "\n" + UPLOAD_ID,
            UPLOAD_ID + " ",
            " " + UPLOAD_ID,
            UPLOAD_ID + "\x00",
            UPLOAD_ID + ".",
            UPLOAD_ID + "/",
            UPLOAD_ID + "0",
            UPLOAD_ID[:-1],
            UPLOAD_ID.replace("8", "g"),
            "../" + UPLOAD_ID[3:],
            "%" + UPLOAD_ID[1:],
            UPLOAD_ID * 300,
        ],
    )
    def test_other_text_is_rejected(self, text: str) -> None:
        assert parse_upload_id(text) is None


class TestVariantNames:
    @pytest.mark.parametrize("size", [SMALL, HERO], ids=lambda size: size.name)
    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif"])
    @pytest.mark.parametrize(("density", "mark"), [(1, ""), (2, "@2x"), (3, "@3x")])
    def test_every_size_density_and_format_has_one_spelling(
        self, size: Size, suffix: str, density: int, mark: str
    ) -> None:
        name = f"{size.name}{mark}.{suffix}"

        variant = SIZES.parse(name)

        assert variant == Variant(size, Format(suffix), density)
        assert variant.name == name
        assert variant.size_name == f"{size.name}{mark}"

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            ".jpg",
            "small",
            "small.",
            "small.jpg.",
            "small.jpg ",
            " small.jpg",
            "small .jpg",
            "small.jpg\n",
            "small\n.jpg",
            "\nsmall.jpg",
            "small.jpg\x00",
            "small\x00.jpg",
            "small.JPG",
            "small.Jpg",
            "Small.jpg",
            "SMALL.jpg",
            "small.jpeg",
            "small.gif",
            "small.svg",
            "small.html",
            "small.webp.html",
            "small.jpg.webp",
            "small.png/",
            "../small.jpg",
            "small@1x.jpg",
            "small@0x.jpg",
            "small@4x.jpg",
            "small@02x.jpg",
            "small@22x.jpg",
            "small@2X.jpg",
            "small@2.jpg",
            "small@x.jpg",
            "small@.jpg",
            "small@2x@2x.jpg",
            "small2x.jpg",
            "small@\u0662x.jpg",  # ARABIC-INDIC DIGIT TWO
            "small@-2x.jpg",
            "@2x.jpg",
            "medium.jpg",
            "smal.jpg",
            "smalll.jpg",
            "150.jpg",
            "150x150.jpg",
            "-1.jpg",
            "1e3.jpg",
            "\u0663.jpg",
            "sma\u017fl.jpg",
            "small\u200b.jpg",
        ],
    )
    def test_other_spellings_are_rejected(self, name: str) -> None:
        assert SIZES.parse(name) is None

    def test_format_that_the_size_lacks_is_rejected(self) -> None:
        sizes = Sizes(SMALL, Size("icon", 32, 32, Fit.COVER, formats=(Format.PNG, Format.WEBP)))

        names = [f"{size}.{format}" for size in ("small", "icon@2x") for format in Format]
        assert [sizes.parse(name) is not None for name in names] == [True] * 4 + [False, True, True, False]

    def test_long_names_are_rejected(self) -> None:
        assert SIZES.parse("a" * 100_000 + ".jpg") is None
        assert SIZES.parse("small." + "j" * 100_000) is None


class TestVariant:
    def test_density_multiplies_the_sides(self) -> None:
        assert (Variant(SMALL, Format.JPG).width, Variant(SMALL, Format.JPG).height) == (150, 150)
        assert (Variant(SMALL, Format.JPG, 3).width, Variant(SMALL, Format.JPG, 3).height) == (450, 450)

    def test_missing_side_stays_missing(self) -> None:
        assert (Variant(HERO, Format.JPG, 2).width, Variant(HERO, Format.JPG, 2).height) == (3200, None)

    @pytest.mark.parametrize(
        ("format", "media_type"),
        [("jpg", "image/jpeg"), ("png", "image/png"), ("webp", "image/webp"), ("avif", "image/avif")],
    )
    def test_formats_have_their_registered_media_types(self, format: str, media_type: str) -> None:
        assert Format(format).media_type == media_type


class TestSizes:
    def test_variants_are_every_size_in_every_format_once(self) -> None:
        assert [variant.name for variant in SIZES.variants] == [
            "small.jpg",
            "small.png",
            "small.webp",
            "small.avif",
            "hero-2.jpg",
            "hero-2.png",
            "hero-2.webp",
            "hero-2.avif",
        ]

    @pytest.mark.parametrize(
        ("alpha", "formats"),
        [
            (False, ["jpg", "webp", "avif"]),
            (True, ["png", "webp", "avif"]),
            (None, ["jpg", "png", "webp", "avif"]),
        ],
    )
    def test_standard_formats_depend_on_alpha(self, alpha: bool | None, formats: list[str]) -> None:
        names = [f"{size}.{format}" for size in ("small", "hero-2") for format in formats]

        assert [variant.name for variant in SIZES.standard(alpha)] == names

    @pytest.mark.parametrize("alpha", [False, True, None])
    def test_padded_sizes_have_the_formats_of_opaque_images(self, alpha: bool | None) -> None:
        sizes = Sizes(Size("padded", 150, 150, Fit.PAD))

        assert [variant.format for variant in sizes.standard(alpha)] == ["jpg", "webp", "avif"]

    @pytest.mark.parametrize("alpha", [False, True, None])
    def test_standard_formats_of_a_size_replace_the_automatic_ones(self, alpha: bool | None) -> None:
        sizes = Sizes(
            Size("listed", 150, 150, Fit.COVER, warm=(Format.JPG, Format.PNG)),
            Size("none", 150, 150, Fit.COVER, warm=()),
        )

        assert [variant.name for variant in sizes.standard(alpha)] == ["listed.jpg", "listed.png"]

    @pytest.mark.parametrize(
        ("formats", "alpha", "standard"),
        [
            ("jpg webp", False, "jpg webp"),
            ("jpg webp", True, "jpg webp"),
            ("png avif", False, "png avif"),
            ("png avif", None, "png avif"),
            ("jpg png", True, "png"),
            ("jpg png", None, "jpg png"),
        ],
    )
    def test_size_has_its_formats_alone_and_the_fallback_that_it_has(
        self, formats: str, alpha: bool | None, standard: str
    ) -> None:
        sizes = Sizes(Size("x", 9, 9, Fit.COVER, formats=tuple(map(Format, formats.split()))))

        assert " ".join(variant.format for variant in sizes.variants) == formats
        assert " ".join(variant.format for variant in sizes.standard(alpha)) == standard

    def test_sizes_keep_the_configured_order(self) -> None:
        assert list(SIZES) == ["small", "hero-2"]
        assert SIZES["hero-2"] is HERO
        assert len(SIZES) == 2
        assert "medium" not in SIZES


class TestFocus:
    @pytest.mark.parametrize(
        ("text", "focus"),
        [
            ("0.3,0.7", "0.3,0.7"),
            ("0,1", "0,1"),
            ("0.0,1.000", "0,1"),
            ("0.30000000000000004,0.123456", "0.3,0.1235"),
            ("0.00001,0.0001", "0,0.0001"),
            ("0.99999,0.5", "1,0.5"),
        ],
    )
    def test_equal_points_have_one_text(self, text: str, focus: str) -> None:
        assert parse_focus(text) == focus
        assert parse_focus(focus) == focus
        assert focus_point(Focus(focus)) == pytest.approx([float(share) for share in text.split(",")], abs=5e-5)

    @pytest.mark.parametrize("text", ["", ",", "0.5", "0.5,", "0.5,0.5,0.5", "0,5,0,5", "0.5;0.5", "nan,0", "inf,0"])
    def test_texts_of_another_form_are_rejected(self, text: str) -> None:
        assert parse_focus(text) is None

    @pytest.mark.parametrize("text", ["1.1,0", "2,0", "0,1.00001", "-0.1,0", "0,-1"])
    def test_points_outside_are_rejected(self, text: str) -> None:
        assert parse_focus(text) is None

    @pytest.mark.parametrize(
        "text", ["0.5, 0.5", " 0.5,0.5", "0.5,0.5\n", "+0.5,0", "1e-1,0", ".5,0", "0.,0", "\u0660,0", f"0.{'1' * 21},0"]
    )
    def test_other_spellings_of_numbers_are_rejected(self, text: str) -> None:
        assert parse_focus(text) is None
