"""The setting `ACCEPT`: which formats uploads may have."""

from typing import Any

from proxy import system
from proxy.model import SourceFormat

DEFAULT_ACCEPT = (SourceFormat.JPEG, SourceFormat.PNG, SourceFormat.WEBP)


def read_source_formats(value: Any) -> tuple[SourceFormat, ...]:
    """Reads a comma-separated text or a list, in the order of SourceFormat. Raises ValueError."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, (list, tuple)):
        raise ValueError("give a list of formats, or one text with commas between them")  # noqa: TRY004 - pydantic collects ValueError alone
    names = {str(name).strip() for name in given} - {""}
    if wrong := sorted(names - set(SourceFormat)):
        raise ValueError(f"give formats out of {', '.join(SourceFormat)}, not {', '.join(wrong)}")
    if not names:
        raise ValueError("give at least one format")
    return tuple(format for format in SourceFormat if format in names)


def lack_of_pillow_heif(accept: tuple[SourceFormat, ...]) -> str | None:
    """Returns what to do if HEIC is accepted and pillow-heif is not installed. Does not import it."""
    if SourceFormat.HEIC not in accept or system.has_pillow_heif():
        return None
    return (
        "heic needs pillow-heif, which is not installed. Run pip install 'darkroom-origin[heic]', or remove heic from "
        "ACCEPT."
    )
