"""URLs that a back end makes from an id: exactly one form, and a rejection of everything else."""

import doctest
from typing import Any

import pytest

import darkroom
from darkroom import variant_url

ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"


def test_docstring_example_is_true() -> None:
    assert doctest.testmod(darkroom) == (0, 1)


@pytest.mark.parametrize("format", ["auto", "jpg", "png", "webp", "avif"])
def test_format_is_the_extension(format: Any) -> None:
    assert variant_url(ID, "card-2", format) == f"/images/{ID}/card-2.{format}"


def test_format_by_default_is_auto() -> None:
    assert variant_url(ID, "small") == f"/images/{ID}/small.auto"


@pytest.mark.parametrize(("density", "name"), [(1, "small"), (2, "small@2x"), (3, "small@3x")])
def test_density_is_a_suffix_of_the_size(density: Any, name: str) -> None:
    assert variant_url(ID, "small", density=density) == f"/images/{ID}/{name}.auto"


@pytest.mark.parametrize("base", ["https://cdn.test/pictures", "https://cdn.test/pictures/"])
def test_base_is_the_beginning(base: str) -> None:
    assert variant_url(ID, "small", "jpg", base=base) == f"https://cdn.test/pictures/images/{ID}/small.jpg"


@pytest.mark.parametrize("upload_id", ["", "..", ID.upper(), ID[:-1], ID + "\n", f"{ID}/..", ID.replace("-", "")])
def test_id_of_another_form_raises(upload_id: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        variant_url(upload_id, "small")


@pytest.mark.parametrize("size", ["", "Small", "../x", "small.jpg", "small@2x", "a b", "small\n", "x" * 33, "2x"])
def test_size_that_is_not_a_name_raises(size: str) -> None:
    with pytest.raises(ValueError, match="size"):
        variant_url(ID, size)


@pytest.mark.parametrize("format", ["", "jpeg", "JPG", "gif", "jpg?x"])
def test_format_that_is_not_offered_raises(format: Any) -> None:
    with pytest.raises(ValueError, match="format"):
        variant_url(ID, "small", format)


@pytest.mark.parametrize("density", [0, 4, -1, 1.5])
def test_density_that_is_not_offered_raises(density: Any) -> None:
    with pytest.raises(ValueError, match="density"):
        variant_url(ID, "small", density=density)
