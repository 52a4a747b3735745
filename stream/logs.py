"""Structured logs: one JSON object a line on standard error, and what may stand in it.

Owns the set-up. Must not know what is logged. No field holds a patient, an identifier or anything of a message: callers
log counts, connection numbers, reasons from closed lists and types of faults. A fault's own text is left out, for an
exception may quote what it choked on; its place in our code is not.
"""

from __future__ import annotations

import logging
import sys
import traceback
from contextlib import suppress
from typing import TextIO, cast

import structlog
from structlog.typing import FilteringBoundLogger


def set_up_logs(level: str, stream: TextIO | None = None) -> FilteringBoundLogger:
    """Send the logs of this process to `stream` (standard error), from `level` on; give the logger."""
    out = _Lossy(stream or sys.stderr)
    number = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", out)),
        cache_logger_on_first_use=False,
    )
    # Libraries speak through the standard library: only that they do, and which, for their texts quote requests.
    logging.basicConfig(handlers=[_LibraryHandler()], level=logging.WARNING, force=True)
    logger: FilteringBoundLogger = structlog.get_logger()
    return logger


class _Lossy:
    """A stream for lines that may get lost: a full disk or a reader that went away stops no service."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        with suppress(OSError, ValueError):
            return self._stream.write(text)
        return 0

    def flush(self) -> None:
        """Flush what can be flushed."""
        with suppress(OSError, ValueError):
            self._stream.flush()


class _LibraryHandler(logging.Handler):
    """Tells that a library complained: its name, the level and the fault's type."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log one complaint."""
        fault = record.exc_info[1] if record.exc_info else None
        log = structlog.get_logger()
        log.warning(
            "library", library=record.name, severity=record.levelname, **({} if fault is None else describe(fault))
        )


def describe(fault: BaseException) -> dict[str, str]:
    """Give a fault's type and its place in the code, and nothing of its text.

    >>> describe(ValueError("Doe, John"))
    {'fault': 'ValueError', 'place': ''}
    """
    frames = traceback.extract_tb(fault.__traceback__)[-3:]
    place = " < ".join(f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in reversed(frames))
    return {"fault": type(fault).__name__, "place": place}
