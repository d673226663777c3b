"""Structured logs on standard error: readable on a terminal, JSON for the journal."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from edged.settings import secrets
from edged.settings.systemd import service_manager

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

    from edged.settings.declared import Settings


_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
"""syslog's numbers, for ``journalctl -p``."""
_BURST = 10
_WINDOW_S = 60.0
"""One event of one camera may be told so often in so many seconds: what fails again and again must not fill
a disk, and one camera that does must not silence the others."""


def configure(*, log_format: str, level: str, journal: bool = False) -> None:
    """Set up structlog, once more if need be; ``auto`` is the console on a terminal and JSON otherwise.

    Standard output stays free for the results of ``EDGED_JSONL=-``.

    Args:
        log_format: ``auto``, ``console`` or ``json``.
        level: the lowest that is told.
        journal: whether journald listens, which takes a priority off the front of each line (sd-daemon(3)).
    """
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    processors: list[Processor] = [
        *([] if level == "debug" else [Repeats()]),
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.ExceptionRenderer(_traceback),
    ]
    if console:
        # What it would show by itself has the values of variables in it, and with them passwords.
        plain = structlog.dev.plain_traceback
        processors.append(
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        )
    else:
        processors.append(structlog.processors.JSONRenderer())
        if journal:
            processors.append(_with_priority)
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,  # or a reload could not change the level
    )


def follow(settings: Settings) -> None:
    """Set up the logs of the daemon as the settings say, with priorities where journald listens."""
    journal = service_manager().journal
    configure(log_format=settings.log_format, level=settings.log_level, journal=journal)


class Repeats:
    """Leaves out what an event says too often of one camera or source.

    Its next line that is told has their number as ``left_out``.

    A processor of structlog. Thread-safe.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._windows: dict[tuple[str, str], _Window] = {}

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        """The line, or :class:`structlog.DropEvent`."""
        now = self._clock()
        whose = str(line.get("camera") or line.get("source") or "")
        with self._lock:
            window = self._windows.setdefault((str(line["event"]), whose), _Window(now))
            if now - window.began >= _WINDOW_S:
                window.began, window.told = now, 0
            if window.told >= _BURST:
                window.left_out += 1
                raise structlog.DropEvent
            window.told += 1
            left_out, window.left_out = window.left_out, 0
        if left_out:
            line["left_out"] = left_out
        return line


@dataclass(slots=True)
class _Window:
    began: float
    told: int = 0
    left_out: int = 0


def _traceback(exc_info: ExcInfo) -> str:
    """Where it came from, without what libraries repeat of URLs."""
    return secrets.of_traceback("".join(traceback.format_exception(*exc_info)).rstrip())


def _with_priority(_logger: WrappedLogger, method: str, line: Any) -> str:
    return f"<{_PRIORITIES.get(method, 6)}>{line}"
