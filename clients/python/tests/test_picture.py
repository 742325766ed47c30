"""The picture element: what each option changes, and that every value is escaped."""

from __future__ import annotations

import doctest
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from darkroom import Upload, picture, picture_html

ROOT = Path(__file__).parents[1]
NASTY: Any = """"><script>alert('&')</script>"""
PREVIEW = "data:image/png;base64,iVBORw0KGgo+/w=="


def upload(preview: str | None = PREVIEW, color: str = "#7a6b5c", base: str = "") -> Upload:
    boxes = {"small": (150, 150), "large": (800, 800), "wide": (600, 200), "widest": (1200, 400)}
    return {
        "sizes": {name: {"width": width, "height": height} for name, (width, height) in boxes.items()},
        "urls": {
            name: {format: f"{base}/{name}.{format}" for format in ("jpg", "png", "webp", "avif")} for name in boxes
        },
        "placeholder": {"thumbhash": "", "color": color, "dataUrl": preview},
    }


class Parser(HTMLParser):
    """Collects start tags with their attributes; rejects text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        raise AssertionError(f"text in a picture element: {data}")


def parse(html: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = Parser()
    parser.feed(html)
    parser.close()
    assert [tag for tag, _ in parser.tags] == ["picture", "source", "source", "img"]
    assert html.endswith("</picture>")
    return parser.tags


def image(html: str) -> dict[str, str | None]:
    return parse(html)[-1][1]


def test_srcset_has_only_sizes_with_the_effects_of_the_chosen_one() -> None:
    document = upload()
    for name, width, effect in (("padded", 2000, "pad"), ("grey", 400, "grayscale")):
        document["urls"][name] = {format: f"/{name}.{format}" for format in ("jpg", "png", "webp", "avif")}
        document["sizes"][name] = {"width": width, "height": width, "effects": [effect]}

    assert image(picture_html(document, size="small"))["srcset"] == "/small.jpg 150w, /large.jpg 800w"
    assert image(picture_html(document, size="grey"))["srcset"] == "/grey.jpg 400w"
    assert image(picture_html(document))["width"] == "1200"


def test_sources_have_the_formats_of_the_size_and_sizes_that_have_all_of_them() -> None:
    limited = upload()
    limited["urls"]["small"] = {"png": "/small.png", "webp": "/small.webp"}

    def offered(size: str, document: Upload = limited) -> list[str]:
        return re.findall(r'srcset="(.*?)"', picture_html(document, size=size))

    assert offered("small") == ["/small.webp 150w, /large.webp 800w", "/small.png 150w, /large.png 800w"]
    assert offered("large") == ["/large.avif 800w", "/large.webp 800w", "/large.jpg 800w"]
    transparent = upload(preview=None)
    transparent["urls"]["small"] = {"jpg": "/small.jpg"}
    assert offered("small", transparent) == ["/small.jpg 150w, /large.jpg 800w"]


@pytest.mark.parametrize("size", ["small", "light"])
def test_size_that_is_named_stands_for_its_width_in_the_srcset(size: str) -> None:
    document = upload()
    document["urls"]["light"] = {format: f"/light.{format}" for format in ("jpg", "png", "webp", "avif")}
    document["sizes"]["light"] = document["sizes"]["small"]

    assert image(picture_html(document, size=size))["srcset"] == f"/{size}.jpg 150w, /large.jpg 800w"


def test_size_by_default_is_the_widest_with_all_of_its_shape() -> None:
    attributes = image(picture_html(upload()))

    assert attributes["src"] == "/widest.jpg"
    assert attributes["srcset"] == "/wide.jpg 600w, /widest.jpg 1200w"


def test_size_when_named_selects_all_of_its_shape() -> None:
    _, *candidates = parse(picture_html(upload(), size="small"))

    assert [attributes["srcset"] for _, attributes in candidates] == [
        f"/small.{format} 150w, /large.{format} 800w" for format in ("avif", "webp", "jpg")
    ]
    assert [attributes.get("type") for _, attributes in candidates] == ["image/avif", "image/webp", None]
    attributes = candidates[-1][1]
    assert (attributes["src"], attributes["width"], attributes["height"]) == ("/small.jpg", "150", "150")


def test_transparent_image_without_preview_falls_back_to_png() -> None:
    _, *candidates = parse(picture_html(upload(preview=None), size="small"))

    assert [attributes["srcset"] for _, attributes in candidates] == [
        f"/small.{format} 150w, /large.{format} 800w" for format in ("avif", "webp", "png")
    ]
    assert candidates[-1][1]["src"] == "/small.png"


@pytest.mark.parametrize("effect", ["pad", "pad #00ff00"])
def test_padded_size_of_a_transparent_image_falls_back_to_jpeg(effect: str) -> None:
    padded = upload(preview=None)
    padded["sizes"]["small"]["effects"] = [effect]

    *_, (_, image) = parse(picture_html(padded, size="small"))

    assert image["src"] == "/small.jpg"


@pytest.mark.parametrize("size", ["", "huge", "small.jpg"])
def test_size_unknown_to_the_upload_raises_with_the_known_ones(size: str) -> None:
    with pytest.raises(ValueError, match="small, large, wide, widest"):
        picture_html(upload(), size=size)


def test_size_without_urls_and_without_another_of_its_pixels_raises() -> None:
    document = upload()
    del document["urls"]["small"]

    with pytest.raises(ValueError, match="neither URLs of the size 'small' nor of another with its pixels"):
        picture_html(document, size="small")


def test_options_become_attributes() -> None:
    _, *candidates = parse(picture_html(upload(), "(min-width: 40em) 50vw, 100vw", alt="A cat", loading="eager"))

    assert {attributes["sizes"] for _, attributes in candidates} == {"(min-width: 40em) 50vw, 100vw"}
    assert (candidates[-1][1]["alt"], candidates[-1][1]["loading"]) == ("A cat", "eager")


def test_values_with_markup_are_escaped() -> None:
    html = picture_html(upload(base=NASTY), NASTY, alt=NASTY)

    assert "<script" not in html
    attributes = image(html)
    assert attributes["alt"] == attributes["sizes"] == NASTY
    assert attributes["src"] == f"{NASTY}/widest.jpg"


@pytest.mark.parametrize("loading", ["", "auto", "LAZY", NASTY])
def test_loading_of_another_word_raises(loading: Any) -> None:
    with pytest.raises(ValueError, match="lazy or eager"):
        picture_html(upload(), loading=loading)


@pytest.mark.parametrize("name", ["sizes", "urls", "placeholder"])
@pytest.mark.parametrize("value", [None, {}, {"wide": {}}, []])
def test_json_of_another_shape_raises(name: str, value: object) -> None:
    document: Any = {**upload(), name: value}

    with pytest.raises(ValueError, match=r"JSON|sizes|empty"):
        picture_html(document)


@pytest.mark.parametrize("document", [None, [], {}, "an upload", {"code": "not_found"}])
def test_json_that_is_no_upload_raises(document: Any) -> None:
    with pytest.raises(ValueError, match="JSON of an upload"):
        picture_html(document)


@pytest.mark.parametrize("color", ["red", "#fff", "#7a6b5c;x:url(//evil.test)", "#7A6B5C", ""])
def test_color_of_another_form_raises(color: str) -> None:
    with pytest.raises(ValueError, match="colour"):
        picture_html(upload(color=color))


@pytest.mark.parametrize(
    "preview",
    [
        *("", "https://evil.test/1.png", "data:text/html;base64,AAAA", f"{PREVIEW})", f"{PREVIEW}\n", "ü"),
        "data:image/png;base64," + "A" * 4100,
    ],
)
def test_preview_of_another_form_raises(preview: str) -> None:
    with pytest.raises(ValueError, match="dataUrl"):
        picture_html(upload(preview))


def test_placeholder_is_the_color_below_the_preview() -> None:
    assert image(picture_html(upload()))["style"] == f"background:#7a6b5c url({PREVIEW}) center/cover"


def test_placeholder_of_a_transparent_picture_is_left_out() -> None:
    assert "style" not in image(picture_html(upload(None)))


@pytest.mark.parametrize("effects", [["pad #ffffff"], ["grayscale"]])
def test_placeholder_of_a_size_that_looks_different_is_left_out(effects: list[str]) -> None:
    other = upload()
    other["sizes"]["small"]["effects"] = effects

    assert "style" not in image(picture_html(other, size="small"))
    assert "style" in image(picture_html(other, size="large"))


def test_placeholder_when_switched_off_is_left_out() -> None:
    assert "style" not in image(picture_html(upload(), placeholder=False))


def test_docstring_example_is_true() -> None:
    assert doctest.testmod(picture) == (0, 2)


def test_readme_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    example, *_ = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    document = '{"uploadId": "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a", ' + json.dumps(upload())[1:]
    (tmp_path / "upload.json").write_text(document)
    monkeypatch.chdir(tmp_path)

    exec(compile(example, "README.md", "exec"), {})

    element, url = capsys.readouterr().out.splitlines()
    assert image(element)["alt"] == "A cat"
    assert url == "http://127.0.0.1:8000/images/8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a/medium@2x.auto"


def test_package_runs_without_any_other() -> None:
    """In an interpreter that finds no installed package."""
    code = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r}); import darkroom; print(darkroom.__file__)"

    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(ROOT / "src" / "darkroom" / "__init__.py")
