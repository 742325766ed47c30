"""The database: it answers, and its tables are this version's."""

from ingest.catalog.database import Database, migrations_after
from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning


async def tables(database: Database, *, embedded: bool) -> CheckResult:
    """Raises CatalogUnavailable."""
    revision = await database.revision()
    missing = migrations_after(revision)
    if missing is None:
        return failed(
            f"The database is at revision {revision}, which this version does not know: a newer Darkroom has migrated "
            "it. Run that version here, too."
        )
    if not missing:
        return ok(f"answers; at revision {revision}, this version's")
    lacks = f"The database is at revision {revision or 'none'} and lacks {', '.join(missing)}"
    if embedded:
        return warning(f"{lacks}: `darkroom serve` adds it by itself.")
    return failed(f"{lacks}: run `darkroom migrate`.")
