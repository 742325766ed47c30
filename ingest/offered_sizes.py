"""The sizes that an upload is offered in: all except those that only repeat the pixels of another."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from ingest.records import Upload
from proxy.imaging.resize import place
from proxy.model import Fit, Format, Position, Size, Sizes, Variant, Visibility


def displayed_size(size: Size, width: int, height: int) -> tuple[int, int]:
    """Returns the sides in pixels at which a size displays an original of `width` x `height` pixels."""
    placement = place((width, height), size.width, size.height, size.fit, enlarge=size.enlarge)
    return placement.width, placement.height


def visible_effects(size: Size, width: int, height: int, *, animated: bool) -> list[str]:
    """Returns the effects that the size has on an original. A position counts only if the size crops it.

    `animated`: whether the original is an animation; on others, an animated size has no effect.
    """
    placement = place((width, height), size.width, size.height, size.fit, enlarge=size.enlarge)
    left, top, right, bottom = placement.box
    is_whole = (round(right - left), round(bottom - top)) == (width, height)
    position = Position.CENTER if is_whole else size.position
    return replace(size, position=position, animated=size.animated and animated).effects


def offered_sizes(sizes: Sizes, width: int, height: int) -> Sizes:
    """Leaves out each size that shows the same pixels as an earlier one: the whole original, unscaled."""
    return Sizes(*(first for first, *_ in _groups(sizes, width, height)))


def standard_variants(
    sizes: Sizes, width: int, height: int, alpha: bool | None, visibility: Visibility, *, animated: bool
) -> Sequence[Variant]:
    """Returns the variants that a warm-up of an original derives (`Sizes.standard`).

    A size that stands for others with the same pixels is derived in the standard formats of all of them.
    """
    found = []
    for group in _groups(sizes, width, height):
        formats = {variant.format for variant in Sizes(*group).standard(alpha, animated=animated)}
        found += [Variant(group[0], format, visibility=visibility) for format in Format if format in formats]
    return found


def standard_variants_of(sizes: Sizes, upload: Upload) -> Sequence[Variant]:
    """Returns the variants that a warm-up of `upload` derives."""
    return standard_variants(
        sizes, upload.width, upload.height, upload.alpha, upload.visibility, animated=upload.animated
    )


def look_numbers(sizes: Sizes) -> dict[str, int]:
    """Returns a number for each size. Sizes with the same number repeat each other where both show the whole original.

    Only sizes that never enlarge repeat each other; every other size has a number of its own.
    """
    numbers: dict[Size, int] = {}
    return {
        name: numbers.setdefault(_look_of_whole(size) if size.is_never_enlarged else size, len(numbers))
        for name, size in sizes.items()
    }


def _groups(sizes: Sizes, width: int, height: int) -> Collection[list[Size]]:
    """Returns the sizes in groups of equal pixels, each in the order of the configuration."""
    groups: dict[Size, list[Size]] = {}
    for size in sizes.values():
        is_whole = size.is_never_enlarged and displayed_size(size, width, height) == (width, height)
        groups.setdefault(_look_of_whole(size) if is_whole else size, []).append(size)
    return groups.values()


def _look_of_whole(size: Size) -> Size:
    """Returns what decides the pixels of a size that shows the whole original unscaled."""
    look = replace(size, name="", width=None, height=None, warm=None)
    return replace(look, fit=Fit.INSIDE, enlarge=True, position=Position.CENTER)
