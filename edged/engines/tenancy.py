"""Who has the Edge TPUs of a daemon, and who has to leave one to another."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edged.engines.coral import hardware
from edged.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.engines.coral.edgetpu import EdgeTpuEngine

_AGAIN_S = 600.0
"""Who has not opened on what others had left to it may have the reason mended by then."""

log = structlog.get_logger()


@dataclass(slots=True, eq=False)
class _Tenant:
    """A model that runs on an Edge TPU, or is about to."""

    model: str
    modest: bool
    engine: EdgeTpuEngine | None = None
    """None while it is being opened."""

    @property
    def gone(self) -> bool:
        return self.engine is not None and self.engine.over


class Tenancy:
    """Lets in who has no other device first. Thread-safe.

    A tenant is modest if it runs on the CPU as well and has not asked for an Edge TPU: it takes none while
    another tenant has one, and gives up its own for one that has nothing else. All others are let in: whether
    they go together is known before (:mod:`edged.model.claims`), and they wait for nobody.

    Args:
        clock: seconds; only differences mean something.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turn = threading.Lock()
        """Held by a modest one from its look at the others until it has opened, and while they make way."""
        self._lock = threading.Lock()
        self._tenants: list[_Tenant] = []
        self._in_vain: dict[str, float] = {}
        """When models did not open on what others had left to them: nobody makes way for them again soon."""

    def enter(
        self, model: str, opens: Callable[[], EdgeTpuEngine], *, modest: bool, homeless: bool
    ) -> EdgeTpuEngine:
        """What ``opens`` gives, once it may.

        Args:
            model: how messages call it.
            opens: opens an Edge TPU.
            modest: it gives way.
            homeless: it runs nowhere else; those that are modest give way to it.

        Raises:
            DeviceError: it has to give way, or the Edge TPU does not open.
            EdgedError: as ``opens`` does.
        """
        if not (modest or homeless):
            return self._open(self._add(model, modest=False), opens)
        with self._turn:
            others = self._others()
            if modest:
                if others:
                    names = ", ".join(sorted(other.model for other in others))
                    raise DeviceError(
                        f"an Edge TPU runs {names}, and it is not taken away from that",
                        hint="Name an Edge TPU for each in EDGED_DEVICE, or give this one EDGED_DEVICE=cpu",
                    )
                return self._open(self._add(model, modest=True), opens)
            left = self._make_way(model, others)
            tenant = self._add(model, modest=False)  # before it opens: nobody modest slips in meanwhile
        try:
            engine = self._open(tenant, opens)
        except BaseException:
            if left:
                self._in_vain[model] = self._clock()
            raise
        self._in_vain.pop(model, None)
        return engine

    def _others(self) -> list[_Tenant]:
        with self._lock:
            self._tenants = [tenant for tenant in self._tenants if not tenant.gone]
            return list(self._tenants)

    def _add(self, model: str, *, modest: bool) -> _Tenant:
        tenant = _Tenant(model, modest)
        with self._lock:
            self._tenants.append(tenant)
        return tenant

    def _open(self, tenant: _Tenant, opens: Callable[[], EdgeTpuEngine]) -> EdgeTpuEngine:
        try:
            tenant.engine = opens()
        except BaseException:
            with self._lock:
                self._tenants.remove(tenant)
            raise
        return tenant.engine

    def _make_way(self, model: str, others: list[_Tenant]) -> bool:
        """Have modest tenants leave, if there is no other Edge TPU; whether any has left."""
        leaving = [other for other in others if other.modest]
        if not leaving or len(hardware.find()) > len(others):
            return False
        if self._clock() - self._in_vain.get(model, -math.inf) < _AGAIN_S:
            return False
        for other in leaving:
            assert other.engine is not None  # noqa: S101  # who is modest opens in its turn
            log.info("edgetpu_left", model=other.model, to=model)
            other.engine.leave(f"its Edge TPU was left to {model}, which runs nowhere else")
        return True
