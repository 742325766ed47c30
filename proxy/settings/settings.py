"""All settings of Darkroom: the fields here and those of the base classes, with their validation."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from proxy import system
from proxy.model import ColorSpace, Fit, Size, Sizes, SourceFormat
from proxy.settings.access_settings import AccessSettings
from proxy.settings.api_keys import ApiKey, read_api_keys
from proxy.settings.connection_urls import BaseUrl, check_redis_url, parse_database_url
from proxy.settings.extras import lack_of_extras
from proxy.settings.needs import Needs
from proxy.settings.patterns import Color, matching
from proxy.settings.source_formats import DEFAULT_ACCEPT, read_source_formats
from proxy.settings.sources import DEFAULT_CONFIG
from proxy.settings.store_settings import StoreSettings
from proxy.settings.toml_tables import Quality, SizeSettings, Width
from proxy.settings.watermark_file import WatermarkFile, check_together
from proxy.settings.webhook_settings import WebhookSettings

RENDER_IDLE_MB = 64
"""MiB that an idle render process holds at most. Measured: 17 after its start, up to 50 later."""
_MIN_FOR_RENDERING_MB = 64  # a 12 megapixel JPEG takes about 40
_DEFAULT_MB_PER_PROCESS = 256  # decides the default number of render processes

_SizeName = Annotated[
    str, matching(r"[a-z][a-z0-9-]{0,31}", "name it with at most 32 lower-case letters, digits and hyphens")
]


class SettingsError(Exception):
    """The configuration is invalid. The message has one line for each mistake."""


class Settings(StoreSettings, AccessSettings, WebhookSettings):
    """The settings in force. An environment variable has its field's name in capitals; sizes are in the TOML file."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    darkroom_config: Path = Field(
        Path(DEFAULT_CONFIG), description="TOML file of sizes and qualities; it may also hold other settings"
    )
    database_url: SecretStr | None = Field(
        None, description="URL of Postgres, as `psql` takes it; SQLite in `DATA_DIR` if unset"
    )
    redis_url: SecretStr | None = Field(
        None,
        description="Redis URL, for leases and jobs of several machines; if unset, they are local to this machine",
    )
    queue_prefix: Annotated[
        str, matching(r"[A-Za-z0-9_{}-]+", "give letters, digits, hyphens, underscores and braces only")
    ] = Field(
        "bull",
        description="Prefix of the queue's keys in Redis; installations that share a Redis database need different "
        "ones",
    )
    cdn_url: BaseUrl | None = Field(None, description="Base URL of the CDN; every variant's URL begins with it")
    cdn_distribution_id: (
        Annotated[str, matching(r"[A-Z0-9]+", "give the distribution's id, such as E2QWRUHAPOMQZL")] | None
    ) = Field(None, description="CloudFront distribution to invalidate after deletions and refreshes")
    public_url: BaseUrl | None = Field(
        None,
        description="Base URL of this service, including a path such as `/media`. `Location` and `statusUrl` begin "
        "with it, and so do URLs of variants without `CDN_URL`; if unset, they are paths",
    )
    api_keys: tuple[ApiKey, ...] = Field(
        (),
        validate_default=True,
        description="Comma-separated keys, `NAME:SCOPES:SECRET` or secrets alone, of at least 16 characters; without "
        "keys, the server binds to loopback only and accepts only `localhost`, loopback addresses and the host of "
        "`PUBLIC_URL` as `Host`",
    )

    accept: tuple[SourceFormat, ...] = Field(
        DEFAULT_ACCEPT,
        description="Comma-separated formats of uploads, out of `jpeg`, `png`, `webp`, `avif`, `gif`, `tiff` and "
        "`heic`. Variants of stored originals are derived and served whatever their format",
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

    download_min_rate: int = Field(
        1024,
        ge=1,
        le=1 << 20,
        description="Bytes a second at which a client must read a response, on average. A client that stops reading "
        "is disconnected within two minutes, or three if it was faster before. Operating systems read in "
        "steps, so a client with a steady rate needs a third more",
    )

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
        description="Sandbox of render processes: `auto` uses it where the kernel supports it, and warns elsewhere; "
        "`required` refuses to start without it; `off` uses none",
    )
    render_originals_per_process: int = Field(
        100,
        ge=1,
        description="Originals that a render process reads before a new process replaces it; with `1`, each original "
        "has a process of its own, and costs the processor time of a start",
    )
    render_timeout: float = Field(5, gt=0, le=300, description="Seconds a derivation may take, waiting included")
    max_waiting: int = Field(
        64, ge=1, description="Derivations that may wait for a render process and memory; further ones get 503"
    )
    memory_cache_mb: int = Field(64, ge=0, description="Memory cache for recently requested variants, in MiB")
    missing_ttl: float = Field(60, ge=0, description="Seconds for which a missing upload is remembered as missing")

    delete_versions: bool = Field(
        False, description="`true`: a deletion also removes the versions that a bucket with versioning keeps"
    )
    trash_days: float = Field(30, ge=1, description="Days for which `darkroom gc` keeps originals in the trash")
    gc_max_share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="Fraction of the uploads that `darkroom gc` may move to the trash or remove in one run; if there "
        "are more, it changes nothing",
    )

    strip_metadata: bool = Field(True, description="`false` keeps EXIF, except the orientation, which is applied")
    background: Color = Field(
        "#ffffff", description='Background colour of transparent images in JPEG, and of sizes with `fit = "pad"`'
    )
    color_space: ColorSpace = Field(
        ColorSpace.SRGB,
        description="`display-p3`: variants of originals with colours beyond sRGB are in Display P3, with a profile of "
        "492 bytes; `srgb`: all variants are in sRGB",
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="`console` for people, `json` for log collectors"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Lowest level that is logged: `debug`, `info`, `warning` or `error`"
    )
    otel_exporter_otlp_endpoint: BaseUrl | None = Field(
        None, description="Base URL of an OpenTelemetry collector (OTLP/HTTP) for traces; tracing is off if unset"
    )

    quality: Quality = Field(Quality(), description="`[quality]` in `darkroom.toml`: `jpg`, `webp`, `avif`, `score`")
    widths: tuple[Width, ...] = Field(
        (), description='`widths` in `darkroom.toml`: each defines a size, such as `w320`, with `fit = "inside"`'
    )
    size_tables: dict[_SizeName, SizeSettings] = Field(
        {
            "small": SizeSettings(width=150, height=150),
            "medium": SizeSettings(width=400, height=400),
            "large": SizeSettings(width=800, height=800),
        },
        alias="sizes",
        description="`[sizes.NAME]` in `darkroom.toml`: `width`, `height`, `fit`, `enlarge`, `position`, `background`, "
        "`grayscale`, `blur`, `sharpen`, `watermark`, `animated`, `formats`, `quality`, `warm`",
    )

    @field_validator("api_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: Any) -> Any:
        return read_api_keys(value)

    @field_validator("accept", mode="before")
    @classmethod
    def _read_accept(cls, value: Any) -> tuple[SourceFormat, ...]:
        return read_source_formats(value)

    @field_validator("accept")
    @classmethod
    def _validate_accept(cls, value: tuple[SourceFormat, ...], info: ValidationInfo) -> tuple[SourceFormat, ...]:
        Needs.of(info).check_accept(value)
        return value

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
        Needs.of(info).check_shared_database(info.data)
        return value

    @field_validator("api_keys")
    @classmethod
    def _validate_exposure(cls, value: tuple[ApiKey, ...], info: ValidationInfo) -> tuple[ApiKey, ...]:
        Needs.of(info).check_exposure(value)
        return value

    @field_validator("widths")
    @classmethod
    def _validate_widths(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError("give each width once")
        return tuple(sorted(value))

    @field_validator("size_tables")
    @classmethod
    def _validate_size_tables(cls, value: dict[str, SizeSettings], info: ValidationInfo) -> dict[str, SizeSettings]:
        widths = info.data.get("widths", ())
        if not value and not widths:
            raise ValueError("at least one size is needed")
        if twice := [name for width in widths if (name := f"w{width}") in value]:
            raise ValueError(f"widths defines {', '.join(twice)}, too: rename the size, or remove the width")
        check_together(table.watermark.file for table in value.values() if table.watermark)
        Needs.of(info).check_extras(value)
        return value

    # Checks of two fields are validators of the second one: a model validator does not run if a field is invalid.
    @field_validator("max_side")
    @classmethod
    def _validate_sides(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("min_side", 1):
            raise ValueError("it is smaller than MIN_SIDE: raise it, or lower MIN_SIDE")
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

    @property
    def sizes(self) -> Sizes:
        """The sizes of `size_tables`, then those of `widths`."""
        named = [table.to_size(name, self.background) for name, table in self.size_tables.items()]
        widths = (Size(f"w{width}", width, None, Fit.INSIDE, background=self.background) for width in self.widths)
        return Sizes(*named, *widths)

    @property
    def watermarks(self) -> tuple[WatermarkFile, ...]:
        """The watermark files that sizes draw, each once."""
        files = (table.watermark.file for table in self.size_tables.values() if table.watermark)
        return tuple({file.digest: file for file in files}.values())

    @property
    def url_base(self) -> str:
        """The prefix of every variant URL; empty for plain paths."""
        return self.cdn_url or self.public_url or ""

    def check_extras(self) -> None:
        """Raises SettingsError if a size needs numpy or libvips, which are not installed. Imports neither."""
        if mistakes := lack_of_extras(self.size_tables):
            raise SettingsError(f"sizes: {' '.join(mistakes.values())}")
