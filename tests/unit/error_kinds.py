"""Every kind of error that is ours."""

from collections.abc import Iterator

from ingest import ingest_errors
from proxy.errors import ServiceError


def tree(root: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """Every kind below `root`, wherever in the project it is defined; tests may have kinds of their own."""
    for kind in root.__subclasses__():
        if kind.__module__.split(".")[0] in ("proxy", "ingest"):
            yield kind
            yield from tree(kind)


assert ingest_errors.__doc__  # imported, so that its kinds are there
KINDS = tuple(tree(ServiceError))
