"""What the C library does with memory that is free."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_TELL = """
import ctypes, threading
from edged.daemon import memory

memory.share()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
found = []

def take():
    found.append(libc.malloc(100_000))

thread = threading.Thread(target=take)
thread.start()
thread.join()
heap = next(line for line in open("/proc/self/maps") if line.endswith("[heap]\\n"))
begin, end = (int(part, 16) for part in heap.split()[0].split("-"))
print(begin <= found[0] < end)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such places")
def test_a_thread_takes_from_what_all_have() -> None:
    """From the heap of the process, not from one of its own."""
    done = subprocess.run([sys.executable, "-c", _TELL], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
