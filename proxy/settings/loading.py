"""Loads the settings and reports all mistakes at once."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError

from proxy.settings.needs import Needs
from proxy.settings.settings import Settings, SettingsError
from proxy.settings.sources import Sources, read_sources

_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
_TABLES = {"quality": "quality", "size_tables": "sizes", "widths": "widths"}
"""Fields that only the TOML file has, and their names there."""
_CONSEQUENTIAL = "default_factory_not_called"  # a default that depends on another setting, which is invalid
_ADVICE = {
    "int_type": "give a whole number",
    "int_parsing": "give a whole number",
    "int_from_float": "give a whole number",
    "float_type": "give a number",
    "float_parsing": "give a number",
    "finite_number": "give a number",
    "tuple_type": "give a list",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "greater_than_equal": "give at least {ge}",
    "less_than_equal": "give at most {le}",
    "greater_than": "give more than {gt}",
    "literal_error": "give {expected}",
    "enum": "give {expected}",
    "extra_forbidden": "there is no such setting",
    "missing": "give a value",
    "model_type": "give a table",
}
"""What to do about pydantic's kinds of mistakes, whose own messages are for programmers."""


def share_memory(settings: Settings, servers: int) -> None:
    """Divides RENDER_MEMORY_MB among `servers` processes, through the environment that they will read.

    Raises SettingsError if each part is too small.
    """
    part = settings.render_memory_mb // servers
    os.environ.pop("RENDER_MEMORY_MB_FILE", None)
    os.environ["RENDER_MEMORY_MB"] = str(part)
    try:
        load_settings()
    except SettingsError as error:
        raise SettingsError(f"Each of {servers} workers has RENDER_MEMORY_MB={part}.\n{error}") from None


@contextmanager
def share_metrics() -> Iterator[None]:
    """Lets server processes that start inside the block share their metrics, in a temporary folder.

    The folder is not in `DATA_DIR`: containers may share that and have processes with equal ids.
    """
    with TemporaryDirectory(prefix="darkroom-metrics-") as folder:
        os.environ[_METRICS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_METRICS_FOLDER]


def metrics_folder() -> Path | None:
    """Returns the folder of shared metrics; None if this process reports its own only."""
    folder = os.environ.get(_METRICS_FOLDER)
    return Path(folder) if folder else None


def read_settings_sources() -> Sources:
    """Reads environment, `.env` and TOML file, without validating the values."""
    return read_sources(Settings.model_fields.keys() - _TABLES.keys(), _TABLES.values())


def load_settings(sources: Sources | None = None, needs: Needs | None = None, **overrides: Any) -> Settings:
    """Returns the settings in force for a command with these needs. Raises SettingsError listing every mistake."""
    sources = sources or read_settings_sources()
    mistakes = list(sources.mistakes)
    context = replace(needs or Needs(), folder=sources.folder)
    try:
        settings = Settings.model_validate(sources.values | overrides, context=context)
    except ValidationError as error:
        found = [mistake for mistake in error.errors() if mistake["type"] != _CONSEQUENTIAL]
        mistakes += [_format_mistake(mistake, sources.origins) for mistake in found]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def _format_mistake(mistake: Any, origins: Mapping[str, str]) -> str:
    names = [str(part) for part in mistake["loc"] if part != "[key]"]  # pydantic's, for the name of a size
    where = ".".join(names) if names[0] in _TABLES.values() else names[0].upper()
    if (origin := origins.get(names[0], "")).startswith("AWS_"):
        where = origin
    if advice := _ADVICE.get(mistake["type"]):
        bounds = {name: _plain(value) for name, value in mistake.get("ctx", {}).items()}
        return f"{where}: {advice.format(**bounds)}"
    return f"{where}: {str(mistake['msg']).removeprefix('Value error, ')}"


def _plain(value: Any) -> Any:
    """Returns 1 for 1.0, because pydantic gives the bounds of a float as floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
