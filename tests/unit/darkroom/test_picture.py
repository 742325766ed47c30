"""The `<picture>` of a back end: what the options change, and that nothing gets in unescaped.

What is in it for each shape of sizes: tests/unit/ingest/web/test_documents.py, for the server's own is made by it, too.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from darkroom import Upload, picture_html
from darkroom.placeholder import data_url
from tests.photographs import photograph
from tests.thumbhashes import opaque, transparent
from tests.unit.ingest.web.test_documents import Element, candidates

ROOT = Path(__file__).parents[3]
NASTY: Any = """"><script>alert('&')</script>"""


def upload(thumbhash: str = "1QcSHQRnh493V4dIh4eXh1h4kJUI", color: str = "#7a6b5c", base: str = "") -> Upload:
    boxes = {"small": (150, 150), "large": (800, 800), "wide": (600, 200), "widest": (1200, 400)}
    return {
        "sizes": {name: {"width": width, "height": height} for name, (width, height) in boxes.items()},
        "urls": {name: {format: f"{base}/{name}.{format}" for format in ("jpg", "webp", "avif")} for name in boxes},
        "placeholder": {"thumbhash": thumbhash, "color": color},
    }


def image(element: Element) -> dict[str, str | None]:
    return element.tags[-1][1]


def test_the_widest_size_and_those_of_its_shape_are_the_default() -> None:
    attributes = image(Element(picture_html(upload())))

    assert attributes["src"] == "/widest.jpg"
    assert candidates(attributes["srcset"]) == [("/wide.jpg", 600), ("/widest.jpg", 1200)]


def test_a_size_brings_those_of_its_own_shape() -> None:
    element = Element(picture_html(upload(), size="small"))

    assert image(element)["src"] == "/small.jpg"
    assert (image(element)["width"], image(element)["height"]) == ("150", "150")
    for _, attributes in element.tags[1:]:
        assert [width for _, width in candidates(attributes["srcset"])] == [150, 800]


@pytest.mark.parametrize("size", ["", "huge", "small.jpg"])
def test_a_size_that_the_upload_has_not_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="small, large, wide, widest"):
        picture_html(upload(), size=size)


def test_the_options_are_where_html_wants_them() -> None:
    element = Element(picture_html(upload(), "(min-width: 40em) 50vw, 100vw", alt="A cat", loading="eager"))

    assert {attributes["sizes"] for _, attributes in element.tags[1:]} == {"(min-width: 40em) 50vw, 100vw"}
    assert (image(element)["alt"], image(element)["loading"]) == ("A cat", "eager")


def test_nothing_that_it_is_given_becomes_markup() -> None:
    text = picture_html(upload(base=NASTY), NASTY, alt=NASTY, loading=NASTY)

    assert "<script" not in text
    element = Element(text)
    assert [tag for tag, _ in element.tags] == ["picture", "source", "source", "img"]
    assert image(element)["alt"] == NASTY
    assert image(element)["src"] == f"{NASTY}/widest.jpg"


@pytest.mark.parametrize("color", ["red", "#fff", "#7a6b5c;x:url(//evil.test)", "#7A6B5C", ""])
def test_a_colour_that_is_none_does_not_get_into_the_style(color: str) -> None:
    with pytest.raises(ValueError, match="colour"):
        picture_html(upload(color=color))


@pytest.mark.parametrize("thumbhash", ["", "1QcS", "no base64!", "1QcSHQRnh493V4dIh4eXh1h4kJU", "ü"])
def test_a_hash_that_is_none_is_refused(thumbhash: str) -> None:
    with pytest.raises(ValueError):
        picture_html(upload(thumbhash))


def test_the_placeholder_is_the_colour_and_over_it_the_hash() -> None:
    thumbhash = opaque(photograph("coffee.png"))

    assert (
        image(Element(picture_html(upload(thumbhash))))["style"]
        == f"background:#7a6b5c url({data_url(thumbhash)}) center/cover"
    )


def test_nothing_is_painted_behind_a_transparent_picture() -> None:
    assert "style" not in image(Element(picture_html(upload(transparent()))))


def test_a_strict_policy_can_do_without_the_style() -> None:
    assert "style" not in image(Element(picture_html(upload(), placeholder=False)))


def test_it_runs_with_nothing_but_the_standard_library(tmp_path: Path) -> None:
    """Alone in a folder, in an interpreter that knows no installed package."""
    (tmp_path / "darkroom").symlink_to(ROOT / "darkroom")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import darkroom; print(darkroom.__file__)"

    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == str(tmp_path / "darkroom" / "__init__.py")
