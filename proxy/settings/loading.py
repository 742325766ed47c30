"""Reading the settings, and saying all that is wrong with them at once."""

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

_METRICS_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # prometheus_client's own, which it reads when it is imported
_FOLLOWS = "default_factory_not_called"  # a default that is worked out from other settings, of which one is wrong


def share_memory(settings: Settings, servers: int) -> None:
    """Gives each of several server processes its part of the budget, through the environment that they will read.

    Raises SettingsError if that is too little.
    """
    part = settings.render_memory_mb // servers
    os.environ["RENDER_MEMORY_MB"] = str(part)
    try:
        load_settings()
    except SettingsError as error:
        raise SettingsError(f"Each of {servers} workers has RENDER_MEMORY_MB={part}.\n{error}") from None


@contextmanager
def share_metrics() -> Iterator[None]:
    """Has the server processes that are started meanwhile count together, in a folder that goes at the end.

    Not in `DATA_DIR`: containers that share it have processes of the same numbers.
    """
    with TemporaryDirectory(prefix="darkroom-metrics-") as folder:
        os.environ[_METRICS_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_METRICS_FOLDER]


def metrics_folder() -> Path | None:
    """Where this process counts together with others; None where it counts alone."""
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
        mistakes += [_line(mistake) for mistake in error.errors() if mistake["type"] != _FOLLOWS]
    if mistakes:
        raise SettingsError("\n".join(mistakes))
    return settings


def _unknown_in_toml() -> list[str]:
    """Misspelt names there. In the environment and in `.env`, other names are other programs' business."""
    known = {field.alias or name for name, field in Settings.model_fields.items()}
    return sorted(TomlConfigSettingsSource(Settings).toml_data.keys() - known)


def _line(mistake: Any) -> str:
    names = [str(part) for part in mistake["loc"]]
    message = str(mistake["msg"]).removeprefix("Value error, ")
    if not names:
        return message
    where = ".".join(names) if names[0] in ("sizes", "quality") else names[0].upper()
    return f"{where}: {message}"
