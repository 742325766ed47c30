"""Lists Darkroom's error classes."""

from collections.abc import Iterator

from ingest import ingest_errors
from proxy.errors import ServiceError


def tree(root: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """Yields every class below `root` of this project; tests may define their own."""
    for kind in root.__subclasses__():
        if kind.__module__.split(".")[0] in ("proxy", "ingest"):
            yield kind
            yield from tree(kind)


assert ingest_errors.__doc__  # defines error classes
KINDS = tuple(tree(ServiceError))
