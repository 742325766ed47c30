"""Tokens of private variants: exactly those of the shared vectors, and when they end."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from darkroom import Upload, picture_html, sign_token, variant_url

FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS = json.loads((FOLDER / "tokens.json").read_text(encoding="utf-8"))
NOW: int = VECTORS["now"]
KEY = "0123456789abcdef0123456789abcdef"
ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: NOW + 0.9)


@pytest.mark.parametrize("case", VECTORS["sign"], ids=lambda case: case["name"])
def test_token_is_that_of_the_vector(case: Any) -> None:
    assert sign_token(case["uploadId"], case["keys"], expires=case["expires"]) == case["token"]


@pytest.mark.parametrize(
    ("lifetime", "expires"), [(3600, NOW + 3600), (100, NOW + 100), (7, NOW + 7), (1, NOW + 1), (3000, NOW + 3000)]
)
def test_token_by_default_ends_at_a_round_time_after_its_lifetime(lifetime: int, expires: int) -> None:
    assert NOW % 3600 == 0
    assert sign_token(ID, KEY, lifetime=lifetime) == sign_token(ID, KEY, expires=expires)


def test_tokens_that_are_signed_soon_after_each_other_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = []
    for seconds in (0, 1, 899, 900, 901):
        monkeypatch.setattr("time.time", lambda moment=NOW + seconds: moment)
        tokens.append(sign_token(ID, KEY))

    ends = [int(token.split(".")[1]) - NOW for token in tokens]
    assert ends == [3600, 4500, 4500, 4500, 5400]


@pytest.mark.parametrize("keys", ["", " , ", "short", f"{KEY},short"])
def test_key_that_is_missing_or_short_raises_without_showing_it(keys: str) -> None:
    with pytest.raises(ValueError, match="key") as raised:
        sign_token(ID, keys)
    assert "short" not in str(raised.value)


@pytest.mark.parametrize(("name", "value"), [("lifetime", 0), ("lifetime", -5), ("expires", 0), ("expires", 10**12)])
def test_time_out_of_range_raises(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=r"lifetime|Unix"):
        sign_token(ID, KEY, **{name: value})


def test_token_for_an_id_of_another_form_raises() -> None:
    with pytest.raises(ValueError, match="UUID"):
        sign_token("../secret", KEY)


def test_private_url_has_its_own_path_and_the_token() -> None:
    token = sign_token(ID, KEY)

    assert variant_url(ID, "small", "webp", density=2, token=token) == f"/private/{ID}/small@2x.webp?token={token}"
    assert variant_url(ID, "small", base="https://cdn.test/", token=token) == (
        f"https://cdn.test/private/{ID}/small.auto?token={token}"
    )


@pytest.mark.parametrize("token", ["", "v1", "v1.1.x", 'v1.1."><script>', f"v1.1.{'a' * 43}\n", f"v1.1.{'a' * 43}&x=1"])
def test_token_of_another_form_raises(token: str) -> None:
    with pytest.raises(ValueError, match="sign_token"):
        variant_url(ID, "small", token=token)
    with pytest.raises(ValueError, match="sign_token"):
        picture_html(upload("private"), token=token)


def upload(prefix: str) -> Upload:
    formats = ("jpg", "png", "webp", "avif")
    return {
        "sizes": {"small": {"width": 150, "height": 150}, "large": {"width": 800, "height": 800}},
        "urls": {
            name: {format: f"https://cdn.test/{prefix}/{ID}/{name}.{format}" for format in formats}
            for name in ("small", "large")
        },
        "placeholder": {"thumbhash": "", "color": "#7a6b5c", "dataUrl": None},
    }


def test_private_picture_has_the_token_in_every_url() -> None:
    token = sign_token(ID, KEY)

    html = picture_html(upload("private"), token=token)

    assert html.count("/private/") == html.count(f"?token={token}") == 7  # three srcsets of two, and src
    assert "?token=" not in picture_html(upload("private"))


def test_public_picture_with_a_token_raises() -> None:
    with pytest.raises(ValueError, match="public"):
        picture_html(upload("images"), token=sign_token(ID, KEY))


def test_package_imports_only_the_standard_library() -> None:
    source = Path(__file__).parents[1] / "src" / "darkroom"
    imported = {
        line.split()[1].partition(".")[0]
        for file in source.glob("*.py")
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith(("import ", "from "))
    }
    assert imported - {"darkroom"} <= {
        "__future__",
        *sys.builtin_module_names,
        *getattr(sys, "stdlib_module_names", imported),
    }
