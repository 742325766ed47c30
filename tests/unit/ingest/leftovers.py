"""What an upload leaves: rows in the database, files in a folder."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import func, select

from ingest.catalog.database import Database
from ingest.catalog.tables import images, upload_jobs

Check = Callable[[], Awaitable[None]]
"""Fails if anything is left."""


async def rows(database: Database) -> tuple[int, int]:
    """Counts the rows of both tables. Uploads in progress have a job row only."""
    async with database.transaction() as connection:
        counts = [
            (await connection.execute(select(func.count()).select_from(table))).scalar_one()
            for table in (upload_jobs, images)
        ]
    return counts[0], counts[1]


def files_below(folder: Path) -> list[str]:
    """Lists files and folders below `folder`, by relative path."""
    start = len(str(folder)) + 1
    walk = os.walk(folder)
    return sorted(f"{parent}/{name}"[start:] for parent, folders, files in walk for name in [*folders, *files])
