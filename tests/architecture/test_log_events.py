"""The guide explains every log event, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from proxy.variants.invalidation.invalidation_bus import NOT_PUBLISHED

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "observability.md").read_text()
LEVELS = ("debug", "info", "warning", "error", "exception")
CONSTANTS = {"NOT_PUBLISHED": NOT_PUBLISHED, "event": None}  # None: the caller passes the event


def logged() -> Iterator[str]:
    """Yields the events of all calls of a logger, or of a method `_warn` that passes one on."""
    for path in (path for package in ("proxy", "ingest") for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not _logs(node.func):
                continue
            event = node.args[0]
            if isinstance(event, ast.Constant):
                yield event.value
            elif isinstance(event, ast.Name) and (text := CONSTANTS[event.id]):
                yield text


def _logs(function: ast.expr) -> bool:
    if isinstance(function, ast.IfExp):  # of two levels
        return _logs(function.body)
    if not isinstance(function, ast.Attribute):
        return False
    if function.attr == "_warn":
        return True
    return function.attr in LEVELS and ast.unparse(function.value) in ("log", "structlog.get_logger()")


def explained() -> Iterator[str]:
    """Yields the events in the first cells of the section's tables."""
    section = GUIDE.partition("### Log events\n")[2].partition("\n## ")[0]
    for cell in re.findall(r"^\| (`[^|]*`) \| (?:info|debug|warning|error)\b", section, re.MULTILINE):
        yield from re.findall(r"`([^`]+)`", cell)


def test_guide_explains_every_log_event_once() -> None:
    assert sorted(explained()) == sorted(set(logged()))
