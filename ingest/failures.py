"""Collects the failures of single items while a command continues with the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import structlog

from proxy.errors import ServiceError

log = structlog.get_logger()

T = TypeVar("T")

LISTED = 1000
"""Failures that a report lists. All are counted."""


@dataclass(slots=True)
class Failures(Generic[T]):
    """Failures of items. `count`: all of them. `listed`: the first `LISTED`, with their reasons."""

    count: int = 0
    listed: list[tuple[T, str]] = field(default_factory=list)

    @contextmanager
    def isolate(self, item: T) -> Iterator[None]:
        """Records a ServiceError of the block as a failure of `item`.

        Re-raises outages, because the other items would fail too.
        """
        try:
            yield
        except ServiceError as error:
            if error.is_outage:
                raise
            log.warning("item failed, others continue", item=str(item), error=str(error))
            self.add(item, str(error))

    def add(self, item: T, reason: str) -> None:
        """Counts a failure, and lists it unless `LISTED` failures are listed already."""
        self.count += 1
        if len(self.listed) < LISTED:
            self.listed.append((item, reason))

    def to_json(self) -> dict[str, Any]:
        """Returns the failures as JSON. The items must be upload ids."""
        failed = [{"uploadId": item, "reason": reason} for item, reason in self.listed]
        return {"failed": failed, "failedCount": self.count}
