"""Structured logs on standard error."""

import logging
import sys

import structlog
from typing_extensions import override

REQUEST = "request"
"""The key under which every line that a request causes has its id, in whatever process."""


def configure_logging(log_format: str, level: str) -> None:
    """Logs to standard error: for people (`console`), or a JSON object a line (`json`)."""
    # Tracebacks without the frames' variables, which hold headers and keys.
    console = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer() if log_format == "json" else console
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if log_format == "json":
        processors.append(structlog.processors.format_exc_info)
    root = logging.getLogger()
    root.handlers = [*(handler for handler in root.handlers if not isinstance(handler, _Structured)), _Structured()]
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # broken bodies are answered, not logged
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


class _Structured(logging.Handler):
    """What libraries have to say goes the same way: uvicorn of requests, asyncio of tasks."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        level = record.levelno // 10 * 10  # structlog knows no levels in between
        structlog.get_logger().log(level, record.getMessage(), library=record.name, exc_info=record.exc_info)


def request_id() -> str | None:
    """Of the request in hand."""
    known: str | None = structlog.contextvars.get_contextvars().get(REQUEST)
    return known
