"""Loads the settings and reports all mistakes at once."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import ValidationError
from pydantic_settings import TomlConfigSettingsSource

from proxy.settings.environment import Settings, SettingsError

_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client reads it when it is imported
_CONSEQUENTIAL = "default_factory_not_called"  # a default that depends on another setting, which is invalid


def share_memory(settings: Settings, servers: int) -> None:
    """Divides RENDER_MEMORY_MB among `servers` processes, through the environment that they will read.

    Raises SettingsError if each part is too small.
    """
    part = settings.render_memory_mb // servers
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


def load_settings(**overrides: Any) -> Settings:
    """The settings in force. Raises SettingsError listing every mistake."""
    try:
        mistakes = [f"{name}: not a setting of darkroom.toml" for name in _unknown_in_toml()]
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"darkroom.toml: {error}") from None
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        mistakes += [_format_mistake(mistake) for mistake in error.errors() if mistake["type"] != _CONSEQUENTIAL]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def _unknown_in_toml() -> list[str]:
    """Returns unknown names in darkroom.toml. Those in the environment and `.env` may belong to other programs."""
    known = {field.alias or name for name, field in Settings.model_fields.items()}
    return sorted(TomlConfigSettingsSource(Settings).toml_data.keys() - known)


def _format_mistake(mistake: Any) -> str:
    names = [str(part) for part in mistake["loc"]]
    message = str(mistake["msg"]).removeprefix("Value error, ")
    if not names:
        return message
    where = ".".join(names) if names[0] in ("sizes", "quality") else names[0].upper()
    return f"{where}: {message}"
