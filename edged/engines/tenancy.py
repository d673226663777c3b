"""Who has the Edge TPUs of a daemon, and who has to leave one to another."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from edged.engines.coral import hardware
from edged.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edged.engines.coral.edgetpu import EdgeTpuEngine

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
    they go together is known before (:mod:`edged.model.claims`).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tenants: list[_Tenant] = []
        self._in_vain: set[str] = set()
        """Models that did not open on what others had left to them: nobody makes way for them twice."""

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
        tenant = _Tenant(model, modest)
        with self._lock:
            self._tenants = others = [other for other in self._tenants if not other.gone]
            if modest:
                if others:
                    names = ", ".join(sorted(other.model for other in others))
                    raise DeviceError(
                        f"an Edge TPU runs {names}, and it is not taken away from that",
                        hint="Name an Edge TPU for each in EDGED_DEVICE, or give this one EDGED_DEVICE=cpu",
                    )
                tenant.engine = opens()
                self._tenants.append(tenant)
                return tenant.engine
            left = homeless and self._make_way(model, others)
            self._tenants.append(tenant)  # before it has opened: nobody modest slips in meanwhile
        try:
            tenant.engine = opens()
        except BaseException:
            with self._lock:
                self._tenants.remove(tenant)
                if left:
                    self._in_vain.add(model)
            raise
        self._in_vain.discard(model)
        return tenant.engine

    def _make_way(self, model: str, others: list[_Tenant]) -> bool:
        """Have modest tenants leave, if there is no other Edge TPU; whether any has left."""
        leaving = [other for other in others if other.modest]
        if not leaving or model in self._in_vain or len(hardware.find()) > len(others):
            return False
        for other in leaving:
            assert other.engine is not None  # noqa: S101  # who is modest is opened under the lock
            log.info("edgetpu_left", model=other.model, to=model)
            other.engine.leave(f"its Edge TPU was left to {model}, which runs nowhere else")
        return True


__all__ = ["Tenancy"]
