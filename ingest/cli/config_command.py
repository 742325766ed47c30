"""The command that shows the settings in force."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ingest.cli.console import AsJson, load, print_json, print_table
from ingest.cli.help import examples

if TYPE_CHECKING:
    from proxy.settings import Settings

_IN_TOML = {"quality": "quality", "size_tables": "sizes", "widths": "widths"}
_URLS = ("database_url", "redis_url")


@examples("darkroom config", "CDN_URL=https://cdn.example darkroom config --json")
def config(as_json: AsJson = False) -> None:
    """Show the settings and where each comes from; secrets hidden."""
    settings = load(database=False)
    from proxy.settings import read_settings_sources

    origins = read_settings_sources().origins
    shown = {
        name: {"value": value, "origin": origins.get(name.lower(), "default")}
        for name, value in _visible(settings).items()
    }
    if as_json:
        print_json(shown)
    else:
        print_table(("Setting", "From", "Value"), _rows(shown))


def _visible(settings: "Settings") -> dict[str, Any]:
    """Returns the values without secrets: variables by their names in capitals, then the tables of the TOML file."""
    from proxy.settings import hide_secrets

    values = settings.model_dump()
    tables = {table: _to_json(values.pop(name)) for name, table in _IN_TOML.items()}
    values["api_keys"] = [str(key) for key in settings.api_keys]
    if settings.webhook_url:  # its path is often a secret
        values["webhook_url"] = urlsplit(settings.webhook_url)._replace(path="/(hidden)", query="").geturl()
    for name in _URLS:
        values[name] = values[name] and hide_secrets(values[name].get_secret_value())
    return {name.upper(): _to_json(value) for name, value in values.items()} | tables


def _rows(shown: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, str]]:
    for name, entry in shown.items():
        value, origin = entry["value"], entry["origin"]
        if isinstance(value, dict):
            for key, part in value.items():
                yield f"{name}.{key}", origin, _to_text(part)
        else:
            yield name, origin, _to_text(value)


def _to_text(value: Any) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case list():
            return ", ".join(map(_to_text, value))
        case dict():
            return " ".join(f"{name}={_to_part(part)}" for name, part in value.items() if part is not None)
        case _:
            return json.dumps(value)


def _to_part(value: Any) -> str:
    """Formats a value of a table. A nested table gets braces: its parts would look like those of the outer one."""
    return f"{{{_to_text(value)}}}" if isinstance(value, dict) else _to_text(value)


def _to_json(value: Any) -> Any:
    from pydantic import SecretStr

    match value:
        case SecretStr():
            return "(hidden)"
        case dict():
            return {name: _to_json(item) for name, item in value.items()}
        case list() | tuple():
            return [_to_json(item) for item in value]
        case bool() | int() | float() | None:
            return value
        case _:
            return str(value)
