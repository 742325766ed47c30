"""Typed settings: from the environment, then `.env`, then `darkroom.toml`."""

from proxy.settings.api_keys import ApiKey, KeyScope, parse_api_keys
from proxy.settings.connection_urls import hide_secrets, parse_database_url
from proxy.settings.connections import describe_connections
from proxy.settings.loading import load_settings, metrics_folder, read_settings_sources, share_memory, share_metrics
from proxy.settings.needs import Needs
from proxy.settings.settings import RENDER_IDLE_MB, Settings, SettingsError
from proxy.settings.sources import Sources
from proxy.settings.toml_tables import Quality, SizeSettings
from proxy.settings.watermark_file import WatermarkFile
from proxy.settings.webhook_settings import decode_webhook_secret

__all__ = [
    "RENDER_IDLE_MB",
    "ApiKey",
    "KeyScope",
    "Needs",
    "Quality",
    "Settings",
    "SettingsError",
    "SizeSettings",
    "Sources",
    "WatermarkFile",
    "decode_webhook_secret",
    "describe_connections",
    "hide_secrets",
    "load_settings",
    "metrics_folder",
    "parse_api_keys",
    "parse_database_url",
    "read_settings_sources",
    "share_memory",
    "share_metrics",
]
