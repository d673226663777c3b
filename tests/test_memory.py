"""What the C library does with memory that is free."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

_TELL = """
import ctypes, sys, threading
from edged.daemon import memory

memory.share()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
found = []

def take():
    found.append(libc.malloc(int(sys.argv[1])))

thread = threading.Thread(target=take)
thread.start()
thread.join()
heap = next(line for line in open("/proc/self/maps") if line.endswith("[heap]\\n"))
begin, end = (int(part, 16) for part in heap.split()[0].split("-"))
print(begin <= found[0] < end)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such places")
@pytest.mark.parametrize(("size", "there"), [(100_000, "True"), (5_000_000, "False")])
def test_a_thread_takes_from_what_all_have(size: int, there: str) -> None:
    """From the heap of the process, not from one of its own; what is large has a place that goes with it."""
    done = subprocess.run(
        [sys.executable, "-c", _TELL, str(size)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == there


_AGAIN = """
import ctypes, resource
from edged.daemon import memory

memory.share()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
size = 1_000_000

def use():
    frame = ctypes.c_void_p(libc.malloc(size))
    ctypes.memset(frame, 1, size)
    libc.free(frame)

frames = [ctypes.c_void_p(libc.malloc(size)) for _ in range(4)]
for frame in frames:
    ctypes.memset(frame, 1, size)
for frame in frames:
    libc.free(frame)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32, reason="others have no such wish, or refuse it"
)
def test_the_memory_of_frames_that_went_is_that_of_those_that_come() -> None:
    """It is not given back to the kernel, which would make 250 pages anew for each."""
    done = subprocess.run([sys.executable, "-c", _AGAIN], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 25
