"""The settings: what the commands are connected to, and variables that may be misspelt."""

from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning
from proxy.settings import Needs, Settings, SettingsError, Sources, describe_connections, load_settings


def in_force(settings: Settings, sources: Sources) -> CheckResult:
    """Checks the settings as a server does. Shows what they connect to, and variables that may be misspelt."""
    try:
        load_settings(sources, Needs(database=True))
    except SettingsError as error:
        return failed(str(error))
    connections = "; ".join(f"{name}: {place}" for name, place in describe_connections(settings).items())
    if sources.misspelt:
        mistakes = "; ".join(f"{name} is not a setting: write {near}" for name, near in sources.misspelt.items())
        return warning(f"{mistakes}. In force: {connections}")
    return ok(connections)
