"""The settings, with their validation."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from proxy import system
from proxy.model import Sizes
from proxy.settings.api_keys import ApiKey, parse_api_keys
from proxy.settings.connection_urls import check_redis_url, hide_secrets, parse_database_url
from proxy.settings.sources import DEFAULT_CONFIG
from proxy.settings.toml_tables import Quality, SizeSettings

RENDER_IDLE_MB = 64
"""MiB that an idle render process holds at most. Measured: 17 after its start, up to 50 later."""
_MIN_FOR_RENDERING_MB = 64  # a 12 megapixel JPEG takes about 40
_DEFAULT_MB_PER_PROCESS = 256  # decides the default number of render processes

_SIZE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)


class SettingsError(Exception):
    """The configuration is invalid. The message has one line for each mistake."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a command does with the settings, beyond reading them.

    `rendering`: derives variants. `database`: reads or writes it. `host`: the address that it binds.
    """

    rendering: bool = False
    database: bool = False
    host: str | None = None


class Settings(BaseModel):
    """The settings in force. An environment variable has its field's name in capitals; sizes are in the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    darkroom_config: Path = Field(
        Path(DEFAULT_CONFIG), description="TOML file of sizes and qualities; it may also hold other settings"
    )
    data_dir: Path = Field(Path("data"), description="Folder of the embedded object store, SQLite and temporary files")
    s3_bucket: str | None = Field(
        None, description="Bucket for originals and variants; files under `DATA_DIR` if unset"
    )
    s3_endpoint_url: str | None = Field(None, description="S3 server other than AWS")
    s3_prefix: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9!_.*'()-]*/)*$",
        description="Begins every key, for a bucket shared with others, such as `darkroom/`",
    )
    s3_addressing: Literal["path", "virtual"] | None = Field(
        None, description="`virtual`: the bucket is part of the host name; by default so on AWS alone"
    )
    s3_sse: str | None = Field(
        None,
        pattern=r"^(AES256|aws:kms(:\S+)?)$",
        description="Server-side encryption of every object: `AES256`, `aws:kms` or `aws:kms:KEY-ID`",
    )
    aws_region: str | None = Field(None, description="Region of the bucket")
    aws_access_key_id: SecretStr | None = Field(
        None, description="Access key, set together with its secret; boto3's credential chain if unset"
    )
    aws_secret_access_key: SecretStr | None = Field(
        None, validate_default=True, description="Secret of `AWS_ACCESS_KEY_ID`"
    )
    aws_session_token: SecretStr | None = Field(None, description="Token of temporary keys")
    database_url: SecretStr | None = Field(
        None, description="URL of Postgres, as `psql` takes it; SQLite in `DATA_DIR` if unset"
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis URL, for leases and jobs of several machines; local to this one if unset",
    )
    queue_prefix: str = Field(
        "bull",
        pattern=r"^[A-Za-z0-9_{}-]+$",
        description="Begins the queue's keys in Redis: one for each installation that shares a Redis database",
    )
    cdn_url: str | None = Field(None, description="Base URL of the CDN; every variant's URL begins with it")
    cdn_distribution_id: str | None = Field(
        None, pattern=r"^[A-Z0-9]+$", description="CloudFront distribution to invalidate after deletions and refreshes"
    )
    public_url: str | None = Field(
        None,
        description="Base URL of this service, with the path if it is below one: of `Location` and `statusUrl`, and of "
        "variants without a CDN; plain paths if unset",
    )
    api_keys: tuple[ApiKey, ...] = Field(
        (),
        validate_default=True,
        description="Comma-separated keys, `NAME:SCOPES:SECRET` or secrets alone, of at least 16 characters; without "
        "keys, the server binds to loopback only",
    )

    max_upload_mb: int = Field(
        10, ge=1, le=100, description="Largest upload, in MiB; `darkroom edge nginx` prints nginx's own limit from it"
    )
    min_side: int = Field(100, ge=1, description="Shortest accepted side, in pixels, after EXIF orientation")
    max_side: int = Field(
        10_000, le=16_383, validate_default=True, description="Longest accepted side, in pixels, after EXIF orientation"
    )
    upload_timeout: float = Field(
        60, gt=0, le=1800, description="Seconds a whole upload may take, unless it arrives at 64 KiB a second or more"
    )
    upload_stall_timeout: float = Field(10, gt=0, description="Seconds an upload may pause")

    warm_up: bool = Field(
        True, description="`false`: this server runs no warm-ups; workers, `darkroom warm` and requests derive variants"
    )
    render_memory_mb: int = Field(
        default_factory=lambda: max(RENDER_IDLE_MB + _MIN_FOR_RENDERING_MB, system.memory() // 2 >> 20),
        ge=RENDER_IDLE_MB + _MIN_FOR_RENDERING_MB,
        description="Memory for all render processes of one `darkroom` command, in MiB; by default half of the "
        "machine's or the container's. Derivations wait until enough is free",
    )
    render_processes: int = Field(
        default_factory=lambda data: max(
            1, min(system.processors(), data.get("render_memory_mb", 0) // _DEFAULT_MB_PER_PROCESS)
        ),
        ge=1,
        description="Processes that decode and encode; by default one per processor (of a container: its CPU quota, "
        "rounded up), but at most one per 256 MiB",
    )
    render_process_mb: int = Field(
        2048,
        ge=256,
        description="Address space of one render process, in MiB: the limit for one image, even if more of "
        "`RENDER_MEMORY_MB` is free",
    )
    render_sandbox: Literal["required", "auto", "off"] = Field(
        "auto",
        description="Lock of render processes: `auto` locks them where the kernel can, and warns where it cannot; "
        "`required` does not start without; `off` locks none",
    )
    render_timeout: float = Field(5, gt=0, le=300, description="Seconds a derivation may take, waiting included")
    max_waiting: int = Field(
        64, ge=1, description="Derivations that may wait for a render process and memory; further ones get 503"
    )
    hot_cache_mb: int = Field(64, ge=0, description="Memory cache for recently requested variants, in MiB")
    missing_ttl: float = Field(60, ge=0, description="Seconds for which a missing upload is remembered as missing")

    delete_versions: bool = Field(
        False, description="`true`: a deletion also removes the versions that a bucket with versioning keeps"
    )
    trash_days: float = Field(30, ge=1, description="Days for which `darkroom gc` keeps originals in the trash")
    gc_max_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Share of the uploads that `darkroom gc` may move to the trash or remove at once; above, it does "
        "nothing",
    )

    strip_metadata: bool = Field(True, description="`false` keeps EXIF, except the orientation, which is applied")
    background: str = Field(
        "#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="Background colour of transparent images in JPEG"
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="`console` for people, `json` for log collectors"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level that is logged")
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="Base URL of an OpenTelemetry collector (OTLP/HTTP) for traces; tracing is off if unset"
    )

    quality: Quality = Field(Quality(), description="`[quality]` in `darkroom.toml`: `jpg`, `webp`, `avif`, `score`")
    size_tables: dict[str, SizeSettings] = Field(
        {
            "small": SizeSettings(width=150, height=150),
            "medium": SizeSettings(width=400, height=400),
            "large": SizeSettings(width=800, height=800),
        },
        alias="sizes",
        description="`[sizes.NAME]` in `darkroom.toml`: `width`, `height`, `fit`, `quality`, `warm`",
    )

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [key for part in re.split(r"[,\n]", value) if (key := part.strip())]
        if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
            return parse_api_keys(list(value))
        return value

    @field_validator("cdn_url", "public_url", "s3_endpoint_url", "otel_exporter_otlp_endpoint")
    @classmethod
    def _validate_base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        # These URLs are displayed, some publicly, so they must not contain a password.
        if not re.fullmatch(r"https?://[^\s\"'<>?#/@]+(/[^\s\"'<>?#]*)?", value):
            raise ValueError("give an http:// or https:// URL without name, password, query or fragment")
        return value.rstrip("/")

    @field_validator("s3_bucket")
    @classmethod
    def _validate_bucket(cls, value: str | None) -> str | None:
        if value is None or re.fullmatch(r"[A-Za-z0-9._-]{1,255}|arn:\S+", value):
            return value
        name = value.removeprefix("s3://").split("/")[0]
        if re.fullmatch(r"[A-Za-z0-9._-]{1,255}", name):
            raise ValueError(f"give the bucket's name alone, without scheme and path: {name}. S3_PREFIX is for a path")
        raise ValueError("give the bucket's name alone: letters, digits, dots, hyphens and underscores")

    @field_validator("database_url")
    @classmethod
    def _validate_database_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_database_url(value.get_secret_value())
        return value

    @field_validator("redis_url")
    @classmethod
    def _validate_redis_url(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is None:
            return None
        check_redis_url(value.get_secret_value())
        alone = "database_url" in info.data and info.data["database_url"] is None
        if _needs(info).database and alone and info.data.get("s3_bucket") is not None:
            raise ValueError(
                "S3_BUCKET and REDIS_URL are for several machines, but without DATABASE_URL each machine has its own "
                "database in DATA_DIR. Set DATABASE_URL, or unset REDIS_URL on a single machine"
            )
        return value

    @field_validator("api_keys")
    @classmethod
    def _validate_exposure(cls, value: tuple[ApiKey, ...], info: ValidationInfo) -> tuple[ApiKey, ...]:
        host = _needs(info).host
        if host is not None and not value and not _is_loopback(host):
            raise ValueError(f"{host} is reachable from other machines: set API_KEYS, or bind to 127.0.0.1")
        return value

    @field_validator("size_tables")
    @classmethod
    def _validate_size_tables(cls, value: dict[str, SizeSettings], info: ValidationInfo) -> dict[str, SizeSettings]:
        if not value:
            raise ValueError("at least one size is needed")
        if wrong := [name for name in value if not _SIZE_NAME.fullmatch(name)]:
            raise ValueError(f"use lower-case letters, digits and hyphens in a size's name, not {', '.join(wrong)}")
        if _needs(info).rendering and (mistake := _lack_of_numpy(value)):
            raise ValueError(mistake)
        return value

    # Checks of two fields are validators of the second one: a model validator does not run if a field is invalid.
    @field_validator("max_side")
    @classmethod
    def _validate_sides(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min_side", 1):
            raise ValueError("MIN_SIDE is larger than MAX_SIDE")
        return value

    @field_validator("render_processes")
    @classmethod
    def _validate_idle_memory(cls, value: int, info: ValidationInfo) -> int:
        memory, least = info.data.get("render_memory_mb"), value * RENDER_IDLE_MB + _MIN_FOR_RENDERING_MB
        if memory is not None and memory < least:
            raise ValueError(
                f"{value} idle processes hold {value * RENDER_IDLE_MB} MiB: "
                f"RENDER_MEMORY_MB={memory} is too little for them, set at least {least}"
            )
        return value

    @field_validator("s3_prefix", mode="before")
    @classmethod
    def _end_prefix_with_slash(cls, value: str) -> str:
        return f"{value.strip('/')}/" if value.strip("/") else ""

    @field_validator("s3_endpoint_url", "s3_prefix", "s3_addressing", "s3_sse")
    @classmethod
    def _validate_that_bucket_is_set(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value and info.data.get("s3_bucket", value) is None:
            raise ValueError("it is for a bucket, but originals and variants would be files in DATA_DIR: set S3_BUCKET")
        return value

    @field_validator("aws_secret_access_key")
    @classmethod
    def _validate_key_pair(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (info.data.get("aws_access_key_id") is None) != (value is None):
            raise ValueError("set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or neither")
        return value

    @field_validator("aws_session_token")
    @classmethod
    def _validate_session_token(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if value is not None and info.data.get("aws_access_key_id") is None:
            raise ValueError("it belongs to AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: set these too")
        return value

    @property
    def sizes(self) -> Sizes:
        return Sizes(*(table.to_size(name) for name, table in self.size_tables.items()))

    @property
    def temporary(self) -> Path:
        return self.data_dir / "tmp"

    @property
    def objects(self) -> Path:
        """Folder of the embedded object store."""
        return self.data_dir / "objects"

    @property
    def locks(self) -> Path:
        """Folder of the lease files of this machine."""
        return self.data_dir / "locks"

    @property
    def purges(self) -> Path:
        """Folder of the invalidation files of this machine."""
        return self.data_dir / "purges"

    @property
    def url_base(self) -> str:
        """The prefix of every variant URL; empty for plain paths."""
        return self.cdn_url or self.public_url or ""

    def check_auto_quality(self) -> None:
        """Raises SettingsError if a size has `quality = "auto"` and numpy is not installed. Does not import it."""
        if mistake := _lack_of_numpy(self.size_tables):
            raise SettingsError(f"sizes: {mistake}")

    def connections(self, *, database: bool = True) -> dict[str, str]:
        """Describes the store, the database, Redis and the data folder, without secrets, for people and logs.

        `database`: whether the process uses it.
        """
        folder = self.data_dir.absolute()
        below = f", keys below {self.s3_prefix}" if self.s3_prefix else ""
        place = self.s3_endpoint_url or f"AWS, region {self.aws_region or 'unset'}"
        store = (
            f"bucket {self.s3_bucket} at {place}{below}" if self.s3_bucket else f"files in {self.objects.absolute()}"
        )
        found = {"store": store}
        if database:
            found["database"] = _without_secrets(self.database_url) or f"SQLite in {folder}"
        return found | {"redis": _without_secrets(self.redis_url) or "none", "data_dir": str(folder)}


def _without_secrets(url: SecretStr | None) -> str | None:
    return hide_secrets(url.get_secret_value()) if url else None


def _needs(info: ValidationInfo) -> Needs:
    return info.context if isinstance(info.context, Needs) else Needs()


def _lack_of_numpy(tables: dict[str, SizeSettings]) -> str | None:
    names = [name for name, table in tables.items() if table.quality == "auto"]
    if not names or system.has_numpy():
        return None
    return (
        f'quality = "auto" of {", ".join(names)} needs numpy, which is not installed. '
        "Run pip install 'darkroom-origin[auto-quality]', or remove quality = \"auto\" to use a fixed quality."
    )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
