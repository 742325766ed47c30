"""Structured logs on standard error."""

import logging
import sys

import structlog
from typing_extensions import override

REQUEST = "request"
"""Log key of the request id, in every process that works for the request."""


def configure_logging(log_format: str, level: str) -> None:
    """Logs to standard error: for people (`console`), or a JSON object a line (`json`)."""
    # Plain tracebacks: the variables of frames may hold headers and keys.
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
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # a malformed body gets a 400, not a log line
    structlog.configure(
        processors=[*processors, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


class _Structured(logging.Handler):
    """Routes warnings of the standard library's logging (uvicorn, asyncio, ...) through structlog."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    @override
    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno // 10 * 10, logging.CRITICAL)  # structlog supports only the standard levels
        try:
            structlog.get_logger().log(level, record.getMessage(), library=record.name, exc_info=record.exc_info)
        except Exception:  # a message that its arguments do not fit must not fail the caller
            self.handleError(record)


def request_id() -> str | None:
    """Returns the id of the current request, or None outside of a request."""
    known: str | None = structlog.contextvars.get_contextvars().get(REQUEST)
    return known
