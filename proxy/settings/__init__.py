"""Typed settings: from the environment, then `.env`, then `darkroom.toml`."""

from proxy.settings.environment import RENDER_IDLE_MB, Settings, SettingsError
from proxy.settings.loading import load_settings, metrics_folder, share_memory, share_metrics
from proxy.settings.toml_tables import Quality, SizeSettings

__all__ = [
    "RENDER_IDLE_MB",
    "Quality",
    "Settings",
    "SettingsError",
    "SizeSettings",
    "load_settings",
    "metrics_folder",
    "share_memory",
    "share_metrics",
]
