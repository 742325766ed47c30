"""The option `watermark` of a size: its values, and the mistakes in its file."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from proxy.model import Watermark, WatermarkPosition
from proxy.settings import Settings, SettingsError, load_settings
from tests.pictures import flat_webp, jpeg, png, png_header, save, webp
from tests.unit.proxy.settings.toml_file import mistakes, refusal, toml

LOGO = png(Image.new("RGBA", (30, 20), "#ff0000"))
DIGEST = hashlib.sha256(LOGO).hexdigest()


def size(options: str) -> str:
    return f"[sizes.x]\nwidth = 30\nwatermark = {{{options}}}"


def mistake_of(options: str = 'file = "logo.png"') -> str:
    toml(size(options))
    return refusal()


@pytest.mark.parametrize(
    ("options", "watermark"),
    [
        ("", Watermark(DIGEST, 600, WatermarkPosition.BOTTOM_RIGHT, 1.0, 0.25)),
        (
            ', position = "top-left", opacity = 0.5, width = 0.1',
            Watermark(DIGEST, 600, WatermarkPosition.TOP_LEFT, 0.5, 0.1),
        ),
        (
            ', position = "center", opacity = 0, width = 1',
            Watermark(DIGEST, 600, WatermarkPosition.CENTER, 0.0, 1.0),
        ),
    ],
)
def test_options_and_their_defaults(options: str, watermark: Watermark) -> None:
    Path("logo.png").write_bytes(LOGO)
    toml(size(f'file = "logo.png"{options}'))

    assert load_settings().sizes["x"].watermark == watermark


def test_sizes_without_the_option_have_none() -> None:
    toml("widths = [9]\n[sizes.x]\nwidth = 30")

    settings = load_settings()

    assert [each.watermark for each in settings.sizes.values()] == [None, None]
    assert settings.watermarks == ()


def test_file_is_relative_to_the_folder_of_the_toml_file(monkeypatch: pytest.MonkeyPatch) -> None:
    (folder := Path("etc/images")).mkdir(parents=True)
    (folder / "logo.png").write_bytes(LOGO)
    Path("logo.png").write_bytes(b"another")
    (folder / "sizes.toml").write_text(size('file = "logo.png"'))
    monkeypatch.setenv("DARKROOM_CONFIG", "etc/images/sizes.toml")

    assert load_settings().watermarks[0].digest == DIGEST


def test_absolute_path_is_taken_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "absolute.png").write_bytes(LOGO)
    (tmp_path / "sizes.toml").write_text(size(f'file = "{tmp_path}/absolute.png"'))
    monkeypatch.setenv("DARKROOM_CONFIG", str(tmp_path / "sizes.toml"))

    assert load_settings().watermarks[0].body == LOGO


def test_file_that_several_sizes_draw_is_held_once() -> None:
    for name, body in {"a.png": LOGO, "b.png": LOGO, "c.webp": flat_webp(9, 9)}.items():
        Path(name).write_bytes(body)
    toml("".join(f'[sizes.{each[0]}]\nwidth = 9\nwatermark.file = "{each}"\n' for each in ("a.png", "b.png", "c.webp")))

    assert [file.body for file in load_settings().watermarks] == [LOGO, flat_webp(9, 9)]


def test_content_is_that_of_the_start() -> None:
    Path("logo.png").write_bytes(LOGO)
    toml(size('file = "logo.png"'))
    settings = load_settings()
    Path("logo.png").write_bytes(flat_webp(9, 9))

    assert settings.watermarks[0].body == LOGO
    assert settings.sizes["x"].watermark == Watermark(DIGEST, 600)
    assert load_settings().sizes["x"].watermark != Watermark(DIGEST, 600)


@pytest.mark.parametrize(
    ("body", "pixels"),
    [
        (LOGO, 600),
        (webp(Image.new("RGB", (300, 200)), quality=50), 60_000),
        (webp(Image.new("RGB", (300, 200)), lossless=True), 60_000),
        (webp(Image.new("RGBA", (300, 200), (1, 2, 3, 4)), lossless=True), 60_000),
        (webp(Image.new("RGBA", (300, 200), (1, 2, 3, 4)), quality=50), 60_000),
        (save(Image.new("RGB", (1000, 1000)), "PNG"), 1_000_000),
    ],
    ids=["png", "lossy", "lossless", "lossless alpha", "lossy alpha", "largest"],
)
def test_sides_of_every_kind_of_file_are_read(body: bytes, pixels: int) -> None:
    Path("logo").write_bytes(body)
    toml(size('file = "logo"'))

    assert load_settings().sizes["x"].watermark == Watermark(hashlib.sha256(body).hexdigest(), pixels)


@pytest.mark.parametrize(
    ("options", "mistake"),
    [
        ('file = ""', "sizes.x.watermark.file: give the path of a PNG or WebP file"),
        ("file = 3", "sizes.x.watermark.file: give the path of a PNG or WebP file"),
        ('file = "logo.png", position = "middle"', "sizes.x.watermark.position: give 'center', 'top', 'bottom', "),
        ('file = "logo.png", opacity = -0.1', "sizes.x.watermark.opacity: give at least 0"),
        ('file = "logo.png", opacity = 1.01', "sizes.x.watermark.opacity: give at most 1"),
        ('file = "logo.png", opacity = true', "sizes.x.watermark.opacity: give a number"),
        ('file = "logo.png", opacity = nan', "sizes.x.watermark.opacity: give a number"),
        ('file = "logo.png", width = 0', "sizes.x.watermark.width: give at least 0.01"),
        ('file = "logo.png", width = 200', "sizes.x.watermark.width: give at most 1"),
        ('file = "logo.png", height = 0.1', "sizes.x.watermark.height: there is no such setting"),
        ('position = "top"', "sizes.x.watermark.file: give a value"),
    ],
)
def test_invalid_option_is_one_mistake(options: str, mistake: str) -> None:
    Path("logo.png").write_bytes(LOGO)

    said = mistake_of(options)

    assert said.startswith(mistake)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "is neither a PNG nor a WebP file"),
        (b"<svg/>", "is neither a PNG nor a WebP file"),
        (jpeg(Image.new("RGB", (9, 9))), "is neither a PNG nor a WebP file"),
        (b"RIFF\0\0\0\0WAVEfmt ", "is neither a PNG nor a WebP file"),
        (LOGO[:20], "is damaged. Export it again"),
        (LOGO[:12] + b"IDAT" + LOGO[16:], "is damaged. Export it again"),
        (png_header(0, 20), "is damaged. Export it again"),
        (flat_webp(9, 9)[:22], "is damaged. Export it again"),
        (b"RIFF\0\0\0\0WEBPJUNK" + bytes(30), "is damaged. Export it again"),
        (png_header(20000, 2), "has 20000x2 pixels. Scale it down to 1 megapixel, such as 1000x1000"),
        (png_header(1001, 1000), "has 1001x1000 pixels. Scale it down to 1 megapixel, such as 1000x1000"),
        (
            LOGO + bytes((1 << 20) - len(LOGO) + 1),
            "has more than 1 MiB. Scale it down, or export it with fewer colours",
        ),
    ],
)
def test_unusable_file_is_one_mistake_with_its_path_and_reason(body: bytes, reason: str) -> None:
    Path("logo.png").write_bytes(body)

    assert mistake_of() == f"sizes.x.watermark.file: logo.png {reason}"


def test_largest_file_is_accepted() -> None:
    Path("logo.png").write_bytes(LOGO.ljust(1 << 20))
    toml(size('file = "logo.png"'))

    assert len(load_settings().watermarks[0].body) == 1 << 20


def test_path_instead_of_the_table_is_one_mistake() -> None:
    toml('[sizes.x]\nwidth = 30\nwatermark = "logo.png"')

    with pytest.raises(SettingsError, match=r"^sizes\.x\.watermark: give a table$"):
        load_settings()


def test_missing_file_folder_and_pipe_are_mistakes_at_once() -> None:
    Path("folder").mkdir()
    os.mkfifo("pipe")

    assert mistake_of('file = "logo.png"') == "sizes.x.watermark.file: there is no file logo.png"
    assert mistake_of('file = "folder"') == "sizes.x.watermark.file: folder is not a file"
    assert mistake_of('file = "pipe"') == "sizes.x.watermark.file: pipe is not a file"


def test_file_that_may_not_be_read_is_a_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("logo.png").write_bytes(LOGO)
    toml(size('file = "logo.png"'))
    opened = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.name == "logo.png":
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)

    with pytest.raises(
        SettingsError, match=r"^sizes\.x\.watermark\.file: logo\.png cannot be read \(Permission denied\)$"
    ):
        load_settings()


def test_mistakes_of_all_sizes_are_listed_together() -> None:
    toml(
        'max_waiting = 0\n[sizes.a]\nwidth = 0\nwatermark.file = "a.png"\n'
        '[sizes.b]\nwidth = 9\nwatermark.file = "b.png"'
    )

    assert mistakes() == ["MAX_WAITING", "sizes.a.watermark.file", "sizes.a.width", "sizes.b.watermark.file"]


def test_all_files_together_are_bounded() -> None:
    for number in range(5):
        Path(f"{number}.png").write_bytes(LOGO.ljust(1 << 20, bytes([number])))
    sizes = [f'[sizes.s{number}]\nwidth = 9\nwatermark.file = "{number}.png"\n' for number in range(5)]

    toml("".join(sizes[:4]) + '[sizes.again]\nwidth = 9\nwatermark.file = "0.png"')
    assert len(load_settings().watermarks) == 4

    toml("".join(sizes))
    with pytest.raises(SettingsError, match=r"^sizes: the watermarks of all sizes have more than 4 MiB together"):
        load_settings()


def test_settings_show_the_path_and_not_the_content() -> None:
    Path("logo.png").write_bytes(LOGO)
    settings = Settings(sizes={"x": {"width": 9, "watermark": {"file": "logo.png"}}})

    assert settings.model_dump()["size_tables"]["x"]["watermark"] == {
        "file": "logo.png",
        "position": "bottom-right",
        "opacity": 1.0,
        "width": 0.25,
    }
    assert "IHDR" not in repr(settings)
