"""Structured logs on standard error: readable on a terminal, JSON for the journal."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor, WrappedLogger


_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog's numbers, for ``journalctl -p``."""


def configure(*, log_format: str, level: str, journal: bool = False) -> None:
    """Set up structlog; ``auto`` is the console on a terminal and JSON otherwise.

    Standard output stays free for the results of ``EDGED_JSONL=-``.

    Args:
        log_format: ``auto``, ``console`` or ``json``.
        level: the lowest that is told.
        journal: whether journald listens, which takes a priority off the front of each line (sd-daemon(3)).
    """
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if console:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if journal:
            processors.append(_with_priority)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _with_priority(_logger: WrappedLogger, method: str, line: Any) -> str:
    return f"<{_PRIORITIES.get(method, 6)}>{line}"
