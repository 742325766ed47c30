"""Sizes of `darkroom.toml`."""

from importlib.util import find_spec

import pytest

from proxy import system
from proxy.model import Fit, Format, Position, Size, Variant
from proxy.settings import SettingsError, load_settings
from tests.unit.proxy.settings.toml_file import mistakes, refusal, toml


class TestSizes:
    def test_sizes_in_toml_replace_the_defaults(self) -> None:
        toml("[sizes.hero]\nwidth = 1600\nheight = 900\n[sizes.tiny]\nwidth = 32\nheight = 32")

        assert list(load_settings().sizes) == ["hero", "tiny"]

    @pytest.mark.parametrize(
        ("table", "size"),
        [
            ("width = 30\nheight = 20", Size("x", 30, 20, Fit.COVER)),
            ("width = 30", Size("x", 30, None, Fit.INSIDE)),
            ("height = 20", Size("x", None, 20, Fit.INSIDE)),
            ('width = 30\nheight = 20\nfit = "inside"', Size("x", 30, 20, Fit.INSIDE)),
            ('width = 30\nheight = 20\nfit = "cover"', Size("x", 30, 20, Fit.COVER)),
            ('width = 30\nfit = "inside"', Size("x", 30, None, Fit.INSIDE)),
            ("width = 1\nheight = 5000", Size("x", 1, 5000, Fit.COVER)),
            ('width = 30\nquality = "auto"', Size("x", 30, None, Fit.INSIDE, auto_quality=True)),
            ('width = 3\nheight = 2\nfit = "pad"', Size("x", 3, 2, Fit.PAD)),
            ("width = 3\nheight = 2\nenlarge = false", Size("x", 3, 2, Fit.COVER, enlarge=False)),
            ("width = 3\nheight = 2\nenlarge = true", Size("x", 3, 2, Fit.COVER)),
            ('width = 3\nheight = 2\nposition = "center"', Size("x", 3, 2, Fit.COVER)),
            (
                'width = 3\nheight = 2\nposition = "focus"\nfit = "cover"',
                Size("x", 3, 2, Fit.COVER, position=Position.FOCUS),
            ),
            ("width = 3\nenlarge = false", Size("x", 3, None, Fit.INSIDE)),
            ('width = 3\nbackground = "#00fF00"', Size("x", 3, None, Fit.INSIDE, background="#00ff00")),
            ("width = 3\ngrayscale = true", Size("x", 3, None, Fit.INSIDE, grayscale=True)),
            ("width = 3\nanimated = true", Size("x", 3, None, Fit.INSIDE, animated=True)),
            ("width = 3\nanimated = false", Size("x", 3, None, Fit.INSIDE)),
            ("width = 3\nblur = 0.3", Size("x", 3, None, Fit.INSIDE, blur=0.3)),
            ("width = 3\nblur = 250", Size("x", 3, None, Fit.INSIDE, blur=250)),
            ("width = 3\nsharpen = true", Size("x", 3, None, Fit.INSIDE, sharpen=0.5)),
            ("width = 3\nsharpen = 1", Size("x", 3, None, Fit.INSIDE, sharpen=1)),
            ("width = 3\nsharpen = false\ngrayscale = false\nblur = 2", Size("x", 3, None, Fit.INSIDE, blur=2)),
        ],
    )
    def test_options_and_their_defaults(self, table: str, size: Size) -> None:
        toml(f"[sizes.x]\n{table}")

        assert load_settings().sizes["x"] == size

    @pytest.mark.parametrize(
        ("warm", "formats"),
        [
            ("", None),
            ('warm = "auto"', None),
            ("warm = false", ()),
            ("warm = []", ()),
            ('warm = ["jpg"]', (Format.JPG,)),
            ('warm = ["avif", "png", "avif"]', (Format.PNG, Format.AVIF)),
            ('warm = ["jpg", "png", "webp", "avif"]', tuple(Format)),
        ],
    )
    def test_warm_names_formats_and_is_automatic_by_default(
        self, warm: str, formats: tuple[Format, ...] | None
    ) -> None:
        toml(f"[sizes.x]\nwidth = 30\n{warm}")

        assert load_settings().sizes["x"].warm == formats

    @pytest.mark.parametrize(
        ("warm", "shown"),
        [
            ("true", "true"),
            ("0", "0"),
            ('""', '""'),
            ('"jpg"', '"jpg"'),
            ('["jpeg", "webp"]', '["jpeg", "webp"]'),
            ('["JPG"]', '["JPG"]'),
            ('["auto"]', '["auto"]'),
            ("[false]", "[false]"),
            ('[["jpg"]]', '[["jpg"]]'),
            ("{jpg = true}", '{"jpg": true}'),
            ("2026-11-28", '"2026-11-28"'),
        ],
    )
    def test_invalid_warm_is_one_of_the_listed_mistakes(self, warm: str, shown: str) -> None:
        toml(f"[sizes.x]\nwidth = 0\nwarm = {warm}\n[sizes.y]\nheight = 0")

        reason = f'give "auto", false or a list of jpg, png, webp, avif, not {shown}'
        assert f"sizes.x.warm: {reason}" in refusal().splitlines()
        assert mistakes() == ["sizes.x.warm", "sizes.x.width", "sizes.y.height"]

    @pytest.mark.parametrize(
        ("table", "where", "reason"),
        [
            ("", "sizes.x", "give a width, a height or both"),
            ('fit = "inside"', "sizes.x", "give a width, a height or both"),
            ('width = 3\nfit = "cover"', "sizes.x", 'fit = "cover" needs both a width and a height'),
            ('height = 3\nfit = "cover"', "sizes.x", 'fit = "cover" needs both a width and a height'),
            ('width = 3\nfit = "contain"', "sizes.x.fit", "give 'cover', 'inside' or 'pad'"),
            ('width = 3\nfit = "pad"', "sizes.x", 'fit = "pad" needs both a width and a height'),
            ("width = 3\nenlarge = true", "sizes.x", "never enlarged: remove enlarge"),
            ('width = 3\nheight = 3\nfit = "inside"\nenlarge = true', "sizes.x", "never enlarged: remove enlarge"),
            ("width = 3\nenlarge = 1", "sizes.x.enlarge", "give true or false"),
            ('width = 3\ngrayscale = "yes"', "sizes.x.grayscale", "give true or false"),
            ("width = 3\nanimated = 1", "sizes.x.animated", "give true or false"),
            ('width = 3\nbackground = "white"', "sizes.x.background", "six hexadecimal digits, such as #ffffff"),
            ("width = 3\nblur = 0.2", "sizes.x.blur", "give at least 0.3"),
            ("width = 3\nblur = 251", "sizes.x.blur", "give at most 250"),
            ("width = 3\nblur = true", "sizes.x.blur", "give a number"),
            ("width = 3\nblur = nan", "sizes.x.blur", "give a number"),
            ("width = 3\nsharpen = 0", "sizes.x.sharpen", "give true, false or a number from 0.1 to 5, not 0"),
            ("width = 3\nsharpen = 5.5", "sizes.x.sharpen", "give true, false or a number from 0.1 to 5, not 5.5"),
            ("width = 3\nsharpen = nan", "sizes.x.sharpen", "give true, false or a number from 0.1 to 5, not NaN"),
            ('width = 3\nsharpen = "much"', "sizes.x.sharpen", 'a number from 0.1 to 5, not "much"'),
            ('width = 3\nposition = "center"', "sizes.x", "other fits show the whole image: remove position"),
            ('width = 3\nheight = 3\nfit = "pad"\nposition = "focus"', "sizes.x", "remove position"),
            ('width = 3\nheight = 3\nposition = "top"', "sizes.x.position", "give 'center', 'focus' or 'attention'"),
            ("width = 3\nblur = 1\nsharpen = true", "sizes.x", "give either blur or sharpen, not both"),
            ("width = 0", "sizes.x.width", "give at least 1"),
            ("height = 5001", "sizes.x.height", "give at most 5000"),
            ("width = 1.5", "sizes.x.width", "give a whole number"),
            ("width = 3\ndepth = 3", "sizes.x.depth", "there is no such setting"),
        ],
    )
    def test_invalid_size_is_reported_with_name_and_reason(self, table: str, where: str, reason: str) -> None:
        toml(f"[sizes.x]\n{table}")

        message = refusal()

        assert message.startswith(f"{where}: ")
        assert reason in message
        assert "\n" not in message

    @pytest.mark.parametrize("name", ["Small", "2x", "-a", "a_b", "a.b", "a b", "a@2x", "a/b", "..", "", "é", "a" * 33])
    def test_invalid_size_name_is_rejected(self, name: str) -> None:
        toml(f'[sizes."{name}"]\nwidth = 3')

        with pytest.raises(SettingsError, match=r"^sizes\..*: name it with at most 32 lower-case letters,"):
            load_settings()

    def test_invalid_size_name_is_listed_beside_other_mistakes(self) -> None:
        toml("[sizes.X_1]\nwidth = 3\n[sizes.y]\nwidth = 0")

        assert mistakes() == ["sizes.X_1", "sizes.y.width"]

    @pytest.mark.parametrize("name", ["a", "a-2", "hero", "a" * 32])
    def test_valid_size_name_is_accepted(self, name: str) -> None:
        toml(f"[sizes.{name}]\nwidth = 3")

        variant = load_settings().sizes.parse(f"{name}@3x.webp")

        assert variant is not None
        assert variant.name == f"{name}@3x.webp"

    def test_empty_size_table_is_rejected(self) -> None:
        toml("[sizes]")

        assert mistakes() == ["sizes"]


class TestWidths:
    def test_widths_are_sizes_beside_the_others_in_ascending_order(self) -> None:
        toml("widths = [640, 320]\n[sizes.card]\nwidth = 30\nheight = 20")

        sizes = load_settings().sizes

        assert list(sizes.values()) == [
            Size("card", 30, 20, Fit.COVER),
            Size("w320", 320, None, Fit.INSIDE),
            Size("w640", 640, None, Fit.INSIDE),
        ]
        assert sizes.parse("w320@2x.webp") == Variant(sizes["w320"], Format.WEBP, 2)
        assert sizes.parse("w321.webp") is None

    def test_sizes_without_a_background_have_that_of_the_settings(self) -> None:
        toml(
            'background = "#ABCDEF"\nwidths = [320]\n[sizes]\na = {width = 3}\nb = {width = 3, background = "#000000"}'
        )

        assert [size.background for size in load_settings().sizes.values()] == ["#abcdef", "#000000", "#abcdef"]

    def test_widths_keep_the_default_sizes_unless_sizes_are_empty(self) -> None:
        toml("widths = [320]")
        assert list(load_settings().sizes) == ["small", "medium", "large", "w320"]

        toml("widths = [320]\n[sizes]")
        assert list(load_settings().sizes) == ["w320"]

    @pytest.mark.parametrize(
        ("text", "mistake"),
        [
            ("widths = [0]", "widths.0: give at least 1"),
            ("widths = [320, 5001]", "widths.1: give at most 5000"),
            ("widths = [1.5]", "widths.0: give a whole number"),
            ("widths = [true]", "widths.0: give a whole number"),
            ("widths = 320", "widths: give a list"),
            ("[widths]\na = 1", "widths: give a list"),
            ("widths = [320, 640, 320]", "widths: give each width once"),
            (
                "widths = [320, 640]\n[sizes.w640]\nwidth = 9",
                "sizes: widths defines w640, too: rename the size, or remove the width",
            ),
        ],
    )
    def test_invalid_widths_are_one_mistake(self, text: str, mistake: str) -> None:
        toml(text)

        assert refusal() == mistake


class TestAttention:
    def test_sizes_that_need_missing_libvips_are_all_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", lambda name: None if "vips" in name else find_spec(name))
        box = 'width = 3\nheight = 3\nposition = "attention"'
        toml(f'[sizes.card]\n{box}\n[sizes.tiny]\nwidth = 3\n[sizes.hero]\n{box}\nquality = "auto"')

        with pytest.raises(SettingsError) as caught:
            load_settings().check_extras()

        assert str(caught.value) == (
            'sizes: position = "attention" of card, hero needs libvips, which is not installed. '
            "Run pip install 'darkroom-origin[vips]', or remove position = \"attention\" to crop around the centre."
        )

    def test_other_positions_need_no_libvips(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(system, "find_spec", lambda _: None)
        toml('[sizes.card]\nwidth = 3\nheight = 3\nposition = "focus"')

        load_settings().check_extras()
