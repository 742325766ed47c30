"""Says what a process is connected to, without secrets, for people and logs."""

from pydantic import SecretStr

from proxy.settings.connection_urls import hide_secrets
from proxy.settings.settings import Settings


def describe_connections(settings: Settings, *, database: bool = True) -> dict[str, str]:
    """Describes the store, the database, Redis and the data folder. `database`: whether the process uses it."""
    folder = settings.data_dir.absolute()
    below = f", keys below {settings.s3_prefix}" if settings.s3_prefix else ""
    place = settings.s3_endpoint_url or f"AWS, region {settings.aws_region or 'unset'}"
    store = (
        f"bucket {settings.s3_bucket} at {place}{below}"
        if settings.s3_bucket
        else f"files in {settings.objects.absolute()}"
    )
    found = {"store": store}
    if database:
        found["database"] = _without_secrets(settings.database_url) or f"SQLite in {folder}"
    return found | {"redis": _without_secrets(settings.redis_url) or "none", "data_dir": str(folder)}


def _without_secrets(url: SecretStr | None) -> str | None:
    return hide_secrets(url.get_secret_value()) if url else None
