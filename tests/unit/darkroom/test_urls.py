"""URLs that a back end makes by itself: exactly those that the origin takes, and nothing that a client smuggled in."""

import doctest
from types import ModuleType
from typing import Any

import pytest

import darkroom
from darkroom import picture, variant_url
from proxy.model import Fit, Format, Size, Sizes

ID = "8f14e45f-ceea-467f-a8b3-2f1c0f5b8e2a"
SIZES = Sizes(Size("small", 150, 150, Fit.COVER), Size("card-2", 300, None, Fit.INSIDE))


@pytest.mark.parametrize("module", [darkroom, picture])
def test_the_examples_are_true(module: ModuleType) -> None:
    found = doctest.testmod(module)

    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("format", Format)
@pytest.mark.parametrize("density", [1, 2, 3])
def test_they_are_those_that_the_origin_parses(size: str, format: Format, density: int) -> None:
    prefix, name = variant_url(ID, size, format.value, density=density).rsplit("/", 1)

    variant = SIZES.parse(name)
    assert prefix == f"/images/{ID}"
    assert variant is not None
    assert (variant.size.name, variant.format, variant.density) == (size, format, density)


def test_the_format_is_the_clients_choice_unless_one_is_named() -> None:
    assert variant_url(ID, "small") == f"/images/{ID}/small.auto"


@pytest.mark.parametrize("base", ["https://cdn.test/pictures", "https://cdn.test/pictures/"])
def test_they_begin_with_the_base(base: str) -> None:
    assert variant_url(ID, "small", "jpg", base=base) == f"https://cdn.test/pictures/images/{ID}/small.jpg"


@pytest.mark.parametrize("upload_id", ["", "..", ID.upper(), ID[:-1], ID + "\n", f"{ID}/..", ID.replace("-", "")])
def test_another_id_is_refused(upload_id: str) -> None:
    with pytest.raises(ValueError, match="UUID"):
        variant_url(upload_id, "small")


@pytest.mark.parametrize("size", ["", "Small", "../x", "small.jpg", "small@2x", "a b", "small\n", "x" * 33, "2x"])
def test_what_is_no_sizes_name_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="size"):
        variant_url(ID, size)


@pytest.mark.parametrize("format", ["", "jpeg", "JPG", "gif", "jpg?x"])
def test_another_format_is_refused(format: Any) -> None:
    with pytest.raises(ValueError, match="format"):
        variant_url(ID, "small", format)


@pytest.mark.parametrize("density", [0, 4, -1, 1.5])
def test_another_density_is_refused(density: Any) -> None:
    with pytest.raises(ValueError, match="density"):
        variant_url(ID, "small", density=density)
