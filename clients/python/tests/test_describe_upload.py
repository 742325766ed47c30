"""An upload's description from its id and dimensions is the server's, which wrote `pictures.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darkroom import describe_upload, picture_html

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "pictures.json").read_text(encoding="utf-8"))
SIZES, ID = VECTORS["configured"], VECTORS["uploadId"]


def describe(case: Any, **changes: Any) -> Any:
    arguments = {"placeholder": case["placeholder"], "animated": case["animated"], **changes}
    return describe_upload(SIZES, ID, case["dimensions"]["width"], case["dimensions"]["height"], **arguments)


@pytest.mark.parametrize(
    "case", VECTORS["cases"], ids=lambda case: f"{case['dimensions']['width']}x{case['dimensions']['height']}"
)
def test_description_is_the_servers(case: Any) -> None:
    upload = describe(case)

    assert upload["sizes"] == case["sizes"]
    assert {name: " ".join(formats) for name, formats in upload["urls"].items()} == case["offered"]
    assert [*upload["urls"]] == [*case["offered"]]
    assert picture_html(upload) == case["widest"]
    assert picture_html(upload, "50vw", alt='A "cat" & <b>', size=case["size"]) == case["picture"]


def test_description_without_a_placeholder_lets_the_server_choose_the_fallback() -> None:
    html = picture_html(describe(VECTORS["cases"][0], placeholder=None), size="small")

    assert f'<img src="https://cdn.example.com/images/{ID}/small.auto"' in html
    assert "style=" not in html
    assert html.count(".avif") == html.count(".webp") == html.count(".auto") - 1 > 1
    assert ".jpg" not in html
    assert ".png" not in html


def test_unknown_animation_counts_as_animated() -> None:
    still = VECTORS["cases"][0]

    assert describe(still, animated=None)["sizes"] == describe(still, animated=True)["sizes"]
    assert ".avif" not in picture_html(describe(still, animated=None), size="clip")
    assert ".avif" in picture_html(describe(still), size="clip")


def test_description_of_a_private_upload_has_private_urls() -> None:
    upload = describe(VECTORS["cases"][0], visibility="private")

    assert upload["urls"]["small"]["webp"] == f"https://cdn.example.com/private/{ID}/small.webp"
    assert "/images/" not in json.dumps(upload)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 0},
        {"height": -1},
        {"width": 65_536},
        {"height": 10**400},
        {"width": 1.5},
        {"width": "100"},
        {"upload_id": "../x"},
        {"visibility": "secret"},
        {"sizes": {"sizes": []}},
    ],
)
def test_malformed_argument_raises(changes: dict[str, Any]) -> None:
    arguments: Any = {"sizes": SIZES, "upload_id": ID, "width": 100, "height": 100}

    with pytest.raises(ValueError, match=r"pixel|UUID|public|JSON of GET /sizes"):
        describe_upload(**{**arguments, **changes})


@pytest.mark.parametrize("sizes", [None, {}, {"base": ""}, {"base": "", "sizes": {"x": {}}}, []])
def test_json_that_is_not_of_sizes_raises(sizes: Any) -> None:
    with pytest.raises(ValueError, match="JSON of GET /sizes"):
        describe_upload(sizes, ID, 100, 100)
