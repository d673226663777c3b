"""How fast somebody may guess the token: a few tries at once, then slowly, one after the other.

The right token is never refused. Where many wrong ones came from one address it waits its turn among them,
which takes seconds: an answer that came sooner would tell a guesser that he has found it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

_FREE = 10
"""Wrong ones that an address may send at once: a person mistypes, a phone repeats what it knows."""
_EACH_S = 6.0
"""After so long without one, one more of them is forgiven."""
_TURN_S = 0.25
"""How long each takes once they are used up; as many wait at most as there may be connections."""
_MOST_ADDRESSES = 1024


@dataclass(slots=True)
class _Line:
    """Those who wait at one address."""

    wrong: float = 0.0
    """Not forgiven yet."""
    at: float = 0.0
    """When that was so, monotonic, seconds."""
    waiting: int = 0
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class Guesses:
    """Wrong tokens by address. Used in one event loop.

    Args:
        clock: monotonic, seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lines: OrderedDict[str, _Line] = OrderedDict()

    def __len__(self) -> int:
        """How many addresses are remembered."""
        return len(self._lines)

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Whoever has offered a token waits here before it is looked at."""
        line = self._line(address)
        line.waiting += 1
        try:
            async with line.turn:
                if self._left(line) < 1:
                    await asyncio.sleep(_TURN_S)
                yield
        finally:
            line.waiting -= 1

    def wrong(self, address: str) -> int:
        """It was wrong: seconds after which it may be tried again at once; 0: now."""
        line = self._line(address)
        left = self._left(line) - 1
        line.wrong = min(_FREE - left, _FREE)
        return 0 if left >= 0 else round(_EACH_S)

    def _left(self, line: _Line) -> float:
        """How many more may be wrong."""
        now = self._clock()
        line.wrong, line.at = max(0.0, line.wrong - (now - line.at) / _EACH_S), now
        return _FREE - line.wrong

    def _line(self, address: str) -> _Line:
        key = _household(address)
        line = self._lines.setdefault(key, _Line(at=self._clock()))
        self._lines.move_to_end(key)
        if len(self._lines) > _MOST_ADDRESSES:
            idle = next(name for name, one in self._lines.items() if not one.waiting and one is not line)
            del self._lines[idle]
        return line


def _household(address: str) -> str:
    """One machine has as many IPv6 addresses as it likes, all in one network of 64 bits."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((int(ip), 64), strict=False))
    return str(ip)
