"""Reads `API_KEYS`: named keys with scopes."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pydantic import SecretStr
from typing_extensions import override

_MIN_LENGTH = 16  # characters of a secret; of random hexadecimal digits, that is 64 bits


class KeyScope(StrEnum):
    """A permission of an API key."""

    UPLOAD = "upload"
    READ = "read"
    DELETE = "delete"
    ADMIN = "admin"
    """Everything."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key. Keys of the same name are the same caller, such as the old and the new one during a rotation."""

    name: str
    scopes: frozenset[KeyScope]
    secret: SecretStr

    def allows(self, scope: KeyScope) -> bool:
        """Whether the key has the scope. `admin` includes every other."""
        return scope in self.scopes or KeyScope.ADMIN in self.scopes

    @override
    def __str__(self) -> str:
        return f"{self.name}:{'+'.join(scope for scope in KeyScope if scope in self.scopes)}:(hidden)"


def read_api_keys(value: Any) -> Any:
    """Parses the keys of a variable, separated by commas or lines, or of a list; returns anything else as it is."""
    if isinstance(value, str):
        value = [key for part in re.split(r"[,\n]", value) if (key := part.strip())]
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return parse_api_keys(list(value))
    return value


def parse_api_keys(entries: list[str]) -> tuple[ApiKey, ...]:
    """Parses entries `NAME:SCOPES:SECRET`, or a secret alone, which is `default:admin:SECRET`.

    Raises ValueError that names all wrong entries by their number, without any secret.
    """
    keys, mistakes = [], []
    for number, entry in enumerate(entries, 1):
        try:
            keys.append(_parse(entry))
        except ValueError as error:
            mistakes.append(f"key {number} {error}")
    secrets = [key.secret.get_secret_value() for key in keys]
    if len(set(secrets)) < len(secrets):
        mistakes.append("two keys have the same secret")
    if mistakes:
        raise ValueError("; ".join(mistakes))
    return tuple(keys)


def _parse(entry: str) -> ApiKey:
    name, scopes, secret = entry.split(":", 2) if entry.count(":") > 1 else ("default", "admin", entry)
    if (secret is entry and ":" in entry) or not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", name, re.ASCII):
        raise ValueError("is not NAME:SCOPES:SECRET with a name of lower-case letters, digits, dots and hyphens")
    if not set(scopes.split("+")) <= set(KeyScope):
        raise ValueError(f"has unknown scopes: write {', '.join(KeyScope)}, joined by +")
    if not secret.isprintable() or secret != secret.strip():
        raise ValueError("has a secret with spaces around it, or with characters that cannot be printed")
    if len(secret) < _MIN_LENGTH:
        raise ValueError(f"has a secret of fewer than {_MIN_LENGTH} characters: darkroom keys new prints one")
    return ApiKey(name, frozenset(map(KeyScope, scopes.split("+"))), SecretStr(secret))
