"""What the environment, `.env` and `darkroom.toml` may say, and what must hold between the values."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    SecretStr,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from typing_extensions import override

from proxy import system
from proxy.model import Sizes
from proxy.settings.tables import Quality, SizeSettings

RENDER_IDLE_MB = 64
"""MiB that a render process holds at rest, at most (measured: 17 at the start, 50 at most later)."""
_LEAST_FOR_PICTURES = 64  # MiB; a 12 megapixel JPEG takes about 40
_AMPLE = 256  # MiB for each render process of the default number

_SCHEMES = {
    "database_url": ("postgresql+asyncpg://", "sqlite+aiosqlite://"),
    "redis_url": ("redis://", "rediss://", "unix://"),
}
_SIZE_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}", re.ASCII)


class SettingsError(Exception):
    """The configuration is wrong; one line for each mistake."""


class Settings(BaseSettings):
    """What is in force. Environment variables carry the fields' names in capitals; sizes live in `darkroom.toml`."""

    model_config = SettingsConfigDict(
        env_file=".env", env_ignore_empty=True, toml_file="darkroom.toml", extra="ignore", frozen=True
    )

    data_dir: Path = Field(Path("data"), description="Folder of the embedded object store, SQLite and temporary files")
    s3_bucket: str | None = Field(
        None, description="Bucket for originals and variants; files under `DATA_DIR` if unset"
    )
    s3_endpoint_url: str | None = Field(None, description="S3 server other than AWS")
    aws_region: str | None = Field(None, description="Region of the bucket")
    aws_access_key_id: SecretStr | None = Field(None, description="With the next; boto3's credential chain if unset")
    aws_secret_access_key: SecretStr | None = Field(None, validate_default=True, description="The key's secret")
    database_url: SecretStr | None = Field(None, description="SQLAlchemy URL; SQLite in `DATA_DIR` if unset")
    redis_url: SecretStr | None = Field(
        None, description="Leases and jobs of several machines; within this one if unset"
    )
    cdn_url: str | None = Field(None, description="Where the CDN serves variants: every variant's URL begins with it")
    cdn_distribution_id: str | None = Field(
        None, pattern=r"^[A-Z0-9]+$", description="CloudFront distribution that is told of deletions and refreshes"
    )
    public_url: str | None = Field(None, description="The same without a CDN; URLs are plain paths if both are unset")
    api_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Comma-separated keys; without any, the server binds to loopback only"
    )

    max_upload_mb: int = Field(10, ge=1, le=100, description="Largest upload, in MiB")
    min_side: int = Field(100, ge=1, description="Smallest accepted side, in pixels, once upright")
    max_side: int = Field(
        10_000, le=16_383, validate_default=True, description="Largest accepted side, in pixels, once upright"
    )
    upload_timeout: float = Field(60, gt=0, le=1800, description="Seconds a whole upload may take")
    upload_stall_timeout: float = Field(10, gt=0, description="Seconds an upload may send nothing")

    warm_up: bool = Field(
        True, description="`false`: this server warms up nothing; workers, `darkroom warm` and requests do"
    )
    render_memory_mb: int = Field(
        default_factory=lambda: max(RENDER_IDLE_MB + _LEAST_FOR_PICTURES, system.memory() // 2 >> 20),
        ge=RENDER_IDLE_MB + _LEAST_FOR_PICTURES,
        description="Memory that all render processes of one `darkroom` command may hold together, in MiB: half of the "
        "machine's, or the container's, by default. Pictures wait until there is room for them",
    )
    render_processes: int = Field(
        default_factory=lambda known: max(1, min(system.processors(), known.get("render_memory_mb", 0) // _AMPLE)),
        ge=1,
        description="Processes that decode and encode; one for each processor by default, fewer below 256 MiB for each",
    )
    render_process_mb: int = Field(
        2048,
        ge=256,
        description="Address space of one render process, in MiB: the most that one picture may take, however much of "
        "`RENDER_MEMORY_MB` is free",
    )
    render_timeout: float = Field(5, gt=0, le=300, description="Seconds a derivation may take, waiting included")
    max_waiting: int = Field(
        64, ge=1, description="Derivations that may wait for a render process and memory; more get 503"
    )
    hot_cache_mb: int = Field(64, ge=0, description="Memory for variants that are asked for often, in MiB")
    missing_ttl: float = Field(60, ge=0, description="Seconds a missing upload stays known as missing")

    strip_metadata: bool = Field(True, description="`false` keeps EXIF (upright, so without its orientation)")
    background: str = Field("#ffffff", pattern=r"^#[0-9a-fA-F]{6}$", description="Laid under transparency in JPEG")
    log_format: Literal["console", "json"] = Field("console", description="`json` for machines")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    otel_exporter_otlp_endpoint: str | None = Field(
        None, description="Base URL of an OpenTelemetry collector (OTLP/HTTP) that gets traces; none are made if unset"
    )

    quality: Annotated[Quality, NoDecode] = Field(
        Quality(), description="`[quality]` in `darkroom.toml`: `jpg`, `webp`, `avif`, `score`"
    )
    size_tables: Annotated[dict[str, SizeSettings], NoDecode] = Field(
        {
            "small": SizeSettings(width=150, height=150),
            "medium": SizeSettings(width=400, height=400),
            "large": SizeSettings(width=800, height=800),
        },
        alias="sizes",
        description="`[sizes.NAME]` in `darkroom.toml`: `width`, `height`, `fit`, `quality`",
    )

    @classmethod
    @override
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, dotenv_settings, TomlConfigSettingsSource(settings_cls)

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        return [key.strip() for key in value.split(",") if key.strip()] if isinstance(value, str) else value

    @field_validator("cdn_url", "public_url", "s3_endpoint_url", "otel_exporter_otlp_endpoint")
    @classmethod
    def _base_url(cls, value: str | None) -> str | None:
        if value is None:
            return None
        # These are shown, some to everybody: a password in one would be no secret.
        if not re.fullmatch(r"https?://[^\s\"'<>?#/@]+(/[^\s\"'<>?#]*)?", value):
            raise ValueError("give an http:// or https:// URL without name, password, query or fragment")
        return value.rstrip("/")

    @field_validator("database_url", "redis_url")
    @classmethod
    def _scheme(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        known = _SCHEMES[str(info.field_name)]
        if value is not None and not value.get_secret_value().startswith(known):
            raise ValueError(f"begin it with {' or '.join(known)}")
        return value

    @field_validator("size_tables")
    @classmethod
    def _size_names(cls, value: dict[str, SizeSettings]) -> dict[str, SizeSettings]:
        if not value:
            raise ValueError("at least one size is needed")
        if wrong := [name for name in value if not _SIZE_NAME.fullmatch(name)]:
            raise ValueError(f"lower-case letters, digits and hyphens make a size's name, not {', '.join(wrong)}")
        return value

    # Checks between two fields stand on the second one: a model validator would not run beside other mistakes.
    @field_validator("max_side")
    @classmethod
    def _sides(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min_side", 1):
            raise ValueError("MIN_SIDE is larger than MAX_SIDE")
        return value

    @field_validator("render_processes")
    @classmethod
    def _memory_at_rest(cls, value: int, info: ValidationInfo) -> int:
        memory, least = info.data.get("render_memory_mb"), value * RENDER_IDLE_MB + _LEAST_FOR_PICTURES
        if memory is not None and memory < least:
            raise ValueError(
                f"{value} processes hold {value * RENDER_IDLE_MB} MiB before they have a picture: "
                f"RENDER_MEMORY_MB={memory} is too little for them, {least} would do"
            )
        return value

    @field_validator("aws_secret_access_key")
    @classmethod
    def _whole_key(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (info.data.get("aws_access_key_id") is None) != (value is None):
            raise ValueError("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY come together or not at all")
        return value

    @property
    def sizes(self) -> Sizes:
        return Sizes(*(table.named(name) for name, table in self.size_tables.items()))

    @property
    def temporary(self) -> Path:
        return self.data_dir / "tmp"

    @property
    def objects(self) -> Path:
        """Folder of the embedded object store."""
        return self.data_dir / "objects"

    @property
    def locks(self) -> Path:
        """Folder of the leases within this system."""
        return self.data_dir / "locks"

    @property
    def purges(self) -> Path:
        """Folder of the deletions that processes of this machine tell each other of."""
        return self.data_dir / "purges"

    @property
    def url_base(self) -> str:
        """What comes before the path in every URL that is handed out; empty for plain paths."""
        return self.cdn_url or self.public_url or ""

    def check_bind(self, host: str) -> None:
        """Raises SettingsError for an open address without keys."""
        try:
            loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback and not self.api_keys:
            raise SettingsError(f"{host} is reachable from other machines: set API_KEYS, or bind to 127.0.0.1.")
