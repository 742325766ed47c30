"""Checks that the database answers and that its tables match this version."""

from ingest.catalog.database import Database, migrations_after
from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning


async def tables(database: Database, *, embedded: bool) -> CheckResult:
    """Checks the revision of the tables. Raises CatalogUnavailable."""
    revision = await database.revision()
    missing = migrations_after(revision)
    if missing is None:
        return failed(
            f"The database is at revision {revision}, which this version does not know: a newer Darkroom migrated it. "
            "Run that version here too."
        )
    if not missing:
        return ok(f"answers; up to date at revision {revision}")
    lacks = f"The database is at revision {revision or 'none'} and lacks {', '.join(missing)}"
    if embedded:
        return warning(f"{lacks}: `darkroom serve` migrates it at start.")
    return failed(f"{lacks}: run `darkroom migrate`.")
