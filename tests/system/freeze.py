"""Stops all threads of a process but its first one, as a driver that hangs would. Usage: freeze.py PID

The first thread goes on: it is the event loop, and a watchdog that only showed that this one lives would
notice nothing. The threads stay frozen until this program ends, or the process.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

_PTRACE_SEIZE = 0x4206
_PTRACE_INTERRUPT = 0x4207
_WALL = 0x40000000
"""waitpid() shall know of threads, too."""


def main() -> None:
    """Freeze, and reap until the process is gone."""
    pid = int(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    threads = [thread for thread in Path(f"/proc/{pid}/task").iterdir() if int(thread.name) != pid]
    # The busiest first: it must be caught at work, before the others leave it without any.
    threads.sort(key=_ticks, reverse=True)
    for request in (_PTRACE_SEIZE, _PTRACE_INTERRUPT):
        for thread in threads:
            if libc.ptrace(request, int(thread.name), None, None) != 0:
                raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of thread {thread.name}")
    print("frozen", flush=True)
    try:
        while True:
            os.waitpid(-1, _WALL)
    except ChildProcessError:
        pass  # none of them is left


def _ticks(thread: Path) -> int:
    """CPU time so far (utime of proc_pid_stat(5), counted from behind the name)."""
    return int((thread / "stat").read_text().rpartition(")")[2].split()[11])


if __name__ == "__main__":
    main()
