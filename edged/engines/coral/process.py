"""A Python process that does one job for edged: it may crash or hang, and it cannot outlive edged.

Nothing of it has a name that could be left behind: its memory and its output are anonymous files, which the
kernel frees with the last process that has them open. When edged ends, even by SIGKILL, the kernel kills the
child, even one that hangs in a library: the child asks to be signalled when the pipe ``lifeline`` ends.
(PR_SET_PDEATHSIG would not do: it goes by the death of the *thread* that started the child, and threads of
edged come and go.)
"""

from __future__ import annotations

import fcntl
import mmap
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_F_SETSIG = 10
"""From Linux' <fcntl.h>; Python does not know it."""
_HELD_BACK = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
"""What systemd or a terminal send to all processes at once. The child works until edged needs it no more."""
_REAP_S = 2.0
"""A killed process goes at once, unless a driver holds it; then it is left to the kernel."""
_OUTPUT_KEPT = 1 << 16
"""Bytes of output that may pile up before they are thrown away."""
_TAIL = 4096
_LAST_WORDS = 200
_NOISE = ("INFO:", "WARNING:")
"""What runtimes say of themselves, nothing that explains an end."""
_VERDICTS = {
    signal.SIGSEGV: "crashed (SIGSEGV)",
    signal.SIGBUS: "crashed (SIGBUS)",
    signal.SIGILL: "crashed (SIGILL)",
    signal.SIGABRT: "gave up (SIGABRT)",
    signal.SIGKILL: "was killed (SIGKILL: by hand, or memory ran out)",
}


class Ended(Exception):  # noqa: N818  # what happened, not what to do about it
    """The process ended instead of answering; the message says how."""


class Process:
    """A child with a socket for messages and memory that both sides can map.

    ``send`` and ``receive`` are for one thread at a time; ``kill`` may come from any and makes a waiting
    ``receive`` return. All waiting releases the interpreter lock.

    Args:
        module: what ``python -m`` runs in the child.
        argument: makes its only argument from the file descriptors for messages, lifeline and memory.
    """

    def __init__(self, module: str, argument: Callable[[int, int, int], str]) -> None:
        with ExitStack() as closing:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            closing.callback(theirs.close)
            lifeline, self._lifeline = os.pipe()
            closing.callback(os.close, lifeline)
            self._memory = os.memfd_create("edged-tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            self._output = os.memfd_create("edged-output", os.MFD_CLOEXEC)
            fcntl.fcntl(self._output, fcntl.F_SETFL, os.O_APPEND)
            try:
                before = signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_BACK)
                try:
                    self._popen = subprocess.Popen(  # noqa: S603  # our own module in our own interpreter
                        [sys.executable, "-m", module, argument(theirs.fileno(), lifeline, self._memory)],
                        stdin=subprocess.DEVNULL,
                        stdout=self._output,
                        stderr=self._output,
                        pass_fds=(theirs.fileno(), lifeline, self._memory),
                    )
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
            except BaseException:
                self._close()
                raise

    @property
    def pid(self) -> int:
        """The child's."""
        return self._popen.pid

    def send(self, message: bytes) -> None:
        """Give the child a message.

        Raises:
            Ended: there is nobody any more.
        """
        try:
            self._control.send(message)
        except OSError as error:
            raise Ended(self._verdict()) from error

    def receive(self, timeout_s: float, longest: int) -> bytes:
        """Wait for the next message.

        Args:
            timeout_s: seconds.
            longest: bytes.

        Raises:
            Ended: the child is gone.
            TimeoutError: it said nothing in time.
        """
        try:
            if self._control.gettimeout() != timeout_s:
                self._control.settimeout(timeout_s)
            message = self._control.recv(longest)
        except TimeoutError:
            raise
        except OSError as error:
            raise Ended(self._verdict()) from error
        if not message:
            raise Ended(self._verdict())
        return message

    def map(self, size: int) -> mmap.mmap:
        """The memory, as the child has made it; from here on its size is fixed.

        Raises:
            OSError: the child has not made it large enough.
        """
        if os.fstat(self._memory).st_size < size:
            raise OSError("its memory is too small")
        fixed = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
        fcntl.fcntl(self._memory, fcntl.F_ADD_SEALS, fixed)
        return mmap.mmap(self._memory, size)

    def last_words(self) -> str:
        """The most telling line of what the child has written lately; empty if there is none."""
        end = os.fstat(self._output).st_size
        tail = os.pread(self._output, _TAIL, max(0, end - _TAIL)).decode(errors="replace")
        lines = [line.strip() for line in tail.splitlines() if line.strip() and not line.startswith(_NOISE)]
        # Google's libraries begin a line with F when they give up, with E when something fails.
        telling = [line for line in lines if line.startswith(("F ", "E "))] or lines
        return telling[-1][:_LAST_WORDS] if telling else ""

    def forget_output(self) -> None:
        """Throw away what the child has written, if it is much: libraries may write a line an invoke."""
        if os.fstat(self._output).st_size > _OUTPUT_KEPT:
            os.ftruncate(self._output, 0)

    def kill(self) -> None:
        """End the child now; may come from any thread."""
        self._popen.kill()

    def end(self, patience_s: float) -> None:
        """Let the child end by itself, kill it if it does not, and free everything. No other call may follow.

        Args:
            patience_s: seconds; 0 kills at once.
        """
        with suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        if patience_s:
            with suppress(subprocess.TimeoutExpired):
                self._popen.wait(patience_s)
        self._popen.kill()
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(_REAP_S)
        self._close()

    def _verdict(self) -> str:
        """How the child came to its end."""
        try:
            code = self._popen.wait(_REAP_S)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        if code >= 0:
            return f"ended by itself (exit code {code})"
        name = signal.Signals(-code)
        return _VERDICTS.get(name, f"was ended by {name.name}")

    def _close(self) -> None:
        self._control.close()
        for descriptor in (self._lifeline, self._memory, self._output):
            os.close(descriptor)


def die_with(lifeline: int) -> None:
    """In the child: be killed when the other end of the pipe is closed, whatever this process does then."""
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    # It may have been closed before the kernel was asked to tell.
    os.set_blocking(lifeline, False)
    with suppress(BlockingIOError):
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGKILL)
