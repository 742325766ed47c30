"""Reads the settings' values from the environment, `.env` and the TOML file, and remembers where each comes from."""

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import Binding, parse_stream

CONFIG = "DARKROOM_CONFIG"
DEFAULT_CONFIG = "darkroom.toml"
_DOTENV = Path(".env")
_FILE = "_FILE"
_MAX_BYTES = 65_536  # of a file that holds one value
_RENAMED = {"HOT_CACHE_MB": "MEMORY_CACHE_MB", "HOT_CACHE_MB_FILE": "MEMORY_CACHE_MB_FILE"}


@dataclass(frozen=True, slots=True)
class Sources:
    """Values of settings, by the field's name, and their origins. `misspelt`: variables, and what they resemble."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    misspelt: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The folder of the TOML file."""
        return Path(self.values.get(CONFIG.lower(), DEFAULT_CONFIG)).parent


def read_sources(names: Collection[str], tables: Collection[str]) -> Sources:
    """Reads the settings `names` from every source, and `tables` from the TOML file alone. Raises nothing."""
    found = Sources()
    dotenv = _read_dotenv(found)
    _add_variables(found, dotenv, ".env", names, tables)
    _add_variables(found, os.environ, "environment", names, tables)
    _add_toml(found, names, tables)
    _add_endpoint_of_aws(found, dotenv | os.environ)
    return found


def _add_variables(
    found: Sources, variables: Mapping[str, str | None], source: str, names: Collection[str], tables: Collection[str]
) -> None:
    """Adds `NAME`, or the content of the file that `NAME_FILE` names. Empty variables count as unset."""
    given = {name: text for name, value in variables.items() if (text := (value or "").strip())}
    known = {name.upper(): name for name in names}
    known |= {name.upper() + _FILE: name for name in names if name.upper() != CONFIG}
    for variable in sorted(given.keys() & known.keys()):
        name = known[variable]
        if variable == name.upper():
            found.values[name], found.origins[name] = given[variable], source
        elif name.upper() in given:
            found.mistakes.append(f"{name.upper()}: set either {name.upper()} or {variable}, not both")
        elif (value := _read_file(found, variable, given[variable])) is not None:
            found.values[name], found.origins[name] = value, f"{variable} in .env" if source == ".env" else variable
    for table in tables:
        if table.upper() in given:
            found.mistakes.append(f"{table.upper()}: not a variable; set [{table}] in {DEFAULT_CONFIG}")
    for variable in sorted(given.keys() - known.keys()):
        written = variable.upper().replace("-", "_")
        same = written if written in known else _RENAMED.get(written)
        if near := same or next((name for name in known if _is_near(written, name)), None):
            found.misspelt[variable] = near


def _read_file(found: Sources, variable: str, path: str) -> str | None:
    """Returns the content without white space around it. An empty file is a mistake: it would unset a secret.

    The mistakes do not show `path`: it may be the secret itself, in the wrong variable.
    """
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        text = content.decode().strip()
    except OSError as error:
        found.mistakes.append(f"{variable}: the file cannot be read ({error.strerror})")
    except UnicodeDecodeError:
        found.mistakes.append(f"{variable}: the file is not text in UTF-8")
    else:
        if text and len(content) <= _MAX_BYTES:
            return text
        found.mistakes.append(f"{variable}: the file is {'longer than 64 KiB' if text else 'empty'}")
    return None


def _read_dotenv(found: Sources) -> dict[str, str | None]:
    try:
        with _DOTENV.open(encoding="utf-8") as file:
            lines = list(parse_stream(file))
    except FileNotFoundError:
        return {}
    except OSError as error:
        found.mistakes.append(_unreadable(_DOTENV, error))
    except UnicodeDecodeError:
        found.mistakes.append(".env: not text in UTF-8")
    else:
        found.mistakes.extend(f".env: line {_line(one)} is not NAME=VALUE" for one in lines if one.error)
        return dotenv_values(stream=StringIO("".join(one.original.string for one in lines if not one.error)))
    return {}


def _unreadable(path: Path, error: OSError) -> str:
    """Describes the error, with folder and user: a container's user may not enter the folder in which it starts."""
    return f"{path}: user {os.getuid()}, group {os.getgid()} cannot read {path.absolute()} ({error.strerror})"


def _line(binding: Binding) -> int:
    """Returns the line number of a binding. dotenv's own number is that of the first empty line before it."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _add_toml(found: Sources, names: Collection[str], tables: Collection[str]) -> None:
    path = found.values.get(CONFIG.lower(), DEFAULT_CONFIG)
    try:
        with Path(path).open("rb") as file:
            document = tomllib.load(file)
    except FileNotFoundError:
        if CONFIG.lower() in found.values:
            found.mistakes.append(f"{CONFIG}: there is no file {path}")
        return
    except OSError as error:
        found.mistakes.append(_unreadable(Path(path), error))
        return
    except ValueError as error:  # from TOML or UTF-8
        found.mistakes.append(f"{path}: {error}")
        return
    allowed = {*names, *tables} - {CONFIG.lower()}
    for name in sorted(document.keys() - allowed):
        renamed = _RENAMED.get(name.upper())
        found.mistakes.append(f"{name}: not a setting of {path}{f'; it is {renamed.lower()} now' if renamed else ''}")
    for name in document.keys() & allowed - found.values.keys():
        found.values[name], found.origins[name] = document[name], path


def _add_endpoint_of_aws(found: Sources, variables: Mapping[str, str | None]) -> None:
    """Reads boto3's own variables for an S3 server, which some hosting providers set.

    boto3 alone would connect there too, but as if it were AWS: with the bucket in the host name, and with checksums.
    """
    if "s3_bucket" not in found.values or _is_true(variables, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"):
        return
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        if (value := (variables.get(name) or "").strip()) and "s3_endpoint_url" not in found.values:
            found.values["s3_endpoint_url"], found.origins["s3_endpoint_url"] = value, name


def _is_true(variables: Mapping[str, str | None], name: str) -> bool:
    return (variables.get(name) or "").strip().lower() == "true"


def _is_near(given: str, known: str) -> bool:
    """Whether two names differ only by `_FILE`, or by one letter: another, missing, extra, swapped."""
    if given[:1] != known[:1] and given[-1:] != known[-1:]:  # most pairs; there are thousands
        return False
    if abs(len(given) - len(known)) > 1:
        return given == known + _FILE
    start = next(
        (at for at, (a, b) in enumerate(zip(given, known, strict=False)) if a != b), min(len(given), len(known))
    )
    a, b = given[start:], known[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
