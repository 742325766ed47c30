"""Checks that the database answers and that its tables match this version."""

from ingest.catalog.database import Database, is_newer, is_usable, migrations_after
from ingest.maintenance.doctor.findings import CheckResult, failed, ok, warning


async def tables(database: Database, *, embedded: bool) -> CheckResult:
    """Checks the revision of the tables. Raises CatalogUnavailable."""
    revision = await database.revision()
    if is_newer(revision) and is_usable(revision):
        return ok(f"answers; at revision {revision} of a newer Darkroom, with which this version works")
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
