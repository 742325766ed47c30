"""Runs an import: counts, imports several sources at a time, and reports each as soon as it is done."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from ingest.importing.csv_source import CsvSource
from ingest.importing.folder_source import FolderSource
from ingest.importing.import_sources import Entry, InvalidSource, Outcome, SourceList
from ingest.importing.importer import Importer, Known, Result
from ingest.importing.s3_source import S3Source
from ingest.importing.url_download import UrlDownloader
from ingest.ingest_services import Access, build_upload_service, open_services
from ingest.jobs.for_each import for_each
from ingest.progress import Progress
from proxy.keys import FIELDS_PREFIX, INSTALLATION_KEY, ORIGINALS_PREFIX, TRASH_PREFIX, VARIANTS_PREFIXES
from proxy.rendering.admission import Priority
from proxy.services import open_bucket
from proxy.settings import Settings

S3_SCHEME = "s3://"
_EXTRA = 2  # sources beyond the number of render processes: some are read and stored while others are decoded


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Options of an import. `source`: a folder, a CSV, or `s3://bucket/prefix`. `fields`: of each upload, by name.

    `name`: begins the identities, instead of the path of the source. `ingest/cli/import_command.py` describes the other
    options.
    """

    source: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None
    dry_run: bool = False
    skip_known: bool = False
    again: bool = False
    allow_private: bool = False
    ignore_query: bool = False
    concurrency: int | None = None


@dataclass(slots=True)
class ImportSummary:
    """Counts of results. `outcomes`: sources by outcome. `ignored`: ignored entries by code."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    ignored: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result) -> None:
        self.outcomes[result.outcome] += 1
        if result.outcome is Outcome.IGNORED and result.code:
            self.ignored[result.code] += 1

    @property
    def done(self) -> int:
        """The number of entries with a result, ignored ones included."""
        return self.outcomes.total()

    @property
    def is_complete(self) -> bool:
        """Whether nothing was refused or failed."""
        return not (self.outcomes[Outcome.REFUSED] or self.outcomes[Outcome.FAILED])

    @property
    def note(self) -> str:
        """Returns a note for the progress bar about items that need attention."""
        return f"{self.outcomes[Outcome.REFUSED]} refused, {self.outcomes[Outcome.FAILED]} failed"

    def to_json(self) -> dict[str, Any]:
        return {**{outcome.value: self.outcomes[outcome] for outcome in Outcome}, "ignoredBy": dict(self.ignored)}


async def run_import(
    settings: Settings, options: ImportOptions, report: Callable[[Result], None], progress: Progress
) -> ImportSummary:
    """Imports everything that `options.source` lists. Calls `report` for each source as soon as it is done.

    One source does not stop the others. Raises InvalidSource before anything is imported. Raises an outage in an
    exception group; a repeated run finds the sources that were imported, and continues with the others.
    """
    summary = ImportSummary()
    access = Access.READ if options.dry_run else Access.WRITE
    async with (
        open_sources(settings, options) as sources,
        open_services(settings, rendering=not options.dry_run, access=access) as ingest,
    ):
        importer = Importer(
            build_upload_service(ingest, priority=Priority.BACKGROUND),
            ingest.repository,
            ingest.proxy.leases,
            max_bytes=settings.max_upload_mb << 20,
            dry_run=options.dry_run,
            skip_known=options.skip_known,
            again=options.again,
        )

        async def work(item: tuple[Entry, Known | None]) -> None:
            result = await importer.handle(*item)
            summary.add(result)
            report(result)
            progress.update(summary.done, summary.note)

        progress.begin("Counting")
        total = await sources.count()
        progress.begin("Checking" if options.dry_run else "Importing", total)
        async with aclosing(sources.entries()) as entries, aclosing(importer.look_up(entries)) as items:
            try:
                await for_each(
                    items,
                    work,
                    options.concurrency or settings.render_processes + _EXTRA,
                    on_stop=lambda _: progress.say("Stopped. To continue, repeat the command."),
                )
            except ExceptionGroup as group:
                if (gone := group.subgroup(InvalidSource)) is not None:  # the source has disappeared meanwhile
                    raise gone.exceptions[0] from None
                raise
    return summary


@asynccontextmanager
async def open_sources(settings: Settings, options: ImportOptions) -> AsyncIterator[SourceList]:
    """Opens the list of sources. Raises InvalidSource."""
    max_bytes, temporary = settings.max_upload_mb << 20, settings.temporary
    if options.source.startswith(S3_SCHEME):
        bucket, _, prefix = options.source.removeprefix(S3_SCHEME).partition("/")
        if not bucket:
            raise InvalidSource("The bucket's name is missing: give s3://BUCKET/PREFIX.")
        if bucket == settings.s3_bucket and (own := _own_prefix(settings.s3_prefix, prefix)):
            raise InvalidSource(f"The bucket is this installation's own, and keeps its objects below {own}.")
        store = open_bucket(settings, bucket)
        try:
            yield S3Source(
                store, bucket, prefix, options.name, options.fields, temporary=temporary, max_bytes=max_bytes
            )
        finally:
            await store.close()
        return
    path = Path(options.source)
    if await anyio.Path(path).is_dir():
        yield FolderSource(path, options.name, options.fields, settings.data_dir)
    elif await anyio.Path(path).is_file():
        downloader = UrlDownloader(allow_private=options.allow_private, max_bytes=max_bytes, temporary=temporary)
        yield CsvSource(path, options.name, options.fields, downloader, ignore_query=options.ignore_query)
    else:
        raise InvalidSource(
            f"{options.source} is no folder and no file. Give a folder, a CSV, or s3://BUCKET/PREFIX. URLs go into a "
            "CSV."
        )


def _own_prefix(installation: str, prefix: str) -> str | None:
    """Returns a key or prefix of the installation's own objects that overlaps `prefix`, or None."""
    own = (ORIGINALS_PREFIX, *VARIANTS_PREFIXES.values(), TRASH_PREFIX, FIELDS_PREFIX, INSTALLATION_KEY)
    keys = (installation + each for each in own)
    return next((key for key in keys if key.startswith(prefix) or prefix.startswith(key)), None)
