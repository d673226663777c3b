"""The only maker of threads: blocking code at the edge of asyncio.

Threads are daemons. One that is stuck in a driver, such as a camera that never answers, must not hold up
the exit; whoever starts a thread has the means to end it and a deadline after which to go on without it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread  # noqa: TID251  # a type, for who starts one

T = TypeVar("T")


def start(name: str, function: Callable[[], object], *, nice: int = 0) -> Thread:
    """Start a named thread; an exception that leaves ``function`` is told by threading's own hook.

    Args:
        name: for logs and debuggers.
        function: what it does.
        nice: how much lower than the process's its priority is (0..19), where the kernel lets us say so.
    """

    def body() -> None:
        # Linux gives every thread its own priority; a sandbox may forbid it, which costs speed only.
        with suppress(OSError):
            # The process itself may have to give way (Nice=): its first thread has what it was given.
            given = os.getpriority(os.PRIO_PROCESS, os.getpid())
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), given + nice)
        function()

    make = threading.Thread  # noqa: TID251  # here and nowhere else
    thread = make(target=body if nice else function, name=name, daemon=True)
    thread.start()
    return thread


def run(name: str, function: Callable[[], T], *, nice: int = 0) -> asyncio.Future[T]:
    """Run ``function`` in a named thread of its own; the future is done when the thread has ended.

    Cancelling the future abandons the thread, it does not stop it.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(tell: Callable[[], None]) -> None:
        if not future.cancelled():
            tell()

    def body() -> None:
        try:
            tell = partial(future.set_result, function())
        except StopIteration as error:  # a future refuses it: who awaits it would see a generator end
            wrapped = RuntimeError(f"{name} has raised StopIteration")
            wrapped.__cause__ = error
            tell = partial(future.set_exception, wrapped)
        except BaseException as error:  # noqa: BLE001  # handed on to who awaits the future
            tell = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop has ended without us: an abandoned thread
            loop.call_soon_threadsafe(settle, tell)

    start(name, body, nice=nice)
    return future
