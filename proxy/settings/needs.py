"""What a command requires of the settings, such as API keys if other machines can reach it."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationInfo

from proxy.model import SourceFormat
from proxy.settings.api_keys import ApiKey
from proxy.settings.extras import lack_of_extras
from proxy.settings.source_formats import lack_of_pillow_heif

if TYPE_CHECKING:
    from proxy.settings.toml_tables import SizeSettings


@dataclass(frozen=True, slots=True)
class Needs:
    """What a command requires of the settings. The checks raise ValueError for settings that do not meet them.

    `rendering`: derives variants. `database`: reads or writes it. `host`: the address that it binds. `folder`: where
    the TOML file is, which names other files by paths that are relative to it. `watermarks`: reads these files; False
    for commands that need the names of sizes at most, and run where the files may be missing.
    """

    rendering: bool = False
    database: bool = False
    host: str | None = None
    folder: Path = Path()
    watermarks: bool = True

    @classmethod
    def of(cls, info: ValidationInfo) -> "Needs":
        """Returns the needs of the command whose settings are validated; the defaults if it gave none."""
        return info.context if isinstance(info.context, Needs) else cls()

    def check_accept(self, formats: tuple[SourceFormat, ...]) -> None:
        """Raises ValueError if uploads may be HEIC, and pillow-heif is not installed."""
        if self.rendering and (mistake := lack_of_pillow_heif(formats)):
            raise ValueError(mistake)

    def check_extras(self, sizes: dict[str, "SizeSettings"]) -> None:
        """Raises ValueError if a size needs numpy or libvips, which are not installed."""
        if self.rendering and (mistakes := lack_of_extras(sizes)):
            raise ValueError(" ".join(mistakes.values()))

    def check_shared_database(self, valid: Mapping[str, Any]) -> None:
        """Raises ValueError if machines would share Redis and a bucket, but not a database.

        Called if REDIS_URL is set. `valid`: the values of the fields that are declared before `redis_url`, without the
        invalid ones (pydantic's `info.data`).
        """
        alone = "database_url" in valid and valid["database_url"] is None
        if self.database and alone and valid.get("s3_bucket") is not None:
            raise ValueError(
                "with S3_BUCKET and without DATABASE_URL, the machines that share Redis would each have a database of "
                "their own in DATA_DIR. Set DATABASE_URL, or unset REDIS_URL on a single machine"
            )

    def check_exposure(self, keys: tuple[ApiKey, ...]) -> None:
        """Raises ValueError if other machines could reach a server without API keys."""
        if self.host is not None and not keys and not _is_loopback(self.host):
            raise ValueError(f"{self.host} is reachable from other machines: set API_KEYS, or bind to 127.0.0.1")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
