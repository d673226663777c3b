"""Who has the Edge TPUs of a daemon: who waits for whom, and for how long nobody makes way."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from edged.engines.coral import hardware
from edged.engines.tenancy import Tenancy
from edged.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable


class _Device:
    """An engine as far as a tenancy knows it."""

    def __init__(self) -> None:
        self.over = False

    def leave(self, reason: str) -> None:
        assert reason
        self.over = True


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def enter(now: list[float]) -> Callable[..., Any]:
    tenancy: Any = Tenancy(clock=lambda: now[0])

    def go(model: str, opens: Callable[[], object] = _Device, **how: bool) -> Any:
        return tenancy.enter(model, opens, **({"modest": False, "homeless": False} | how))

    return go


def _fails() -> None:
    raise DeviceError("it does not open")


def test_who_has_asked_for_a_device_waits_for_nobody(enter: Callable[..., Any]) -> None:
    """Opening one that hangs takes many seconds; who runs nowhere else waits for that alone."""
    opening, go_on = threading.Event(), threading.Event()

    def slow() -> _Device:
        opening.set()
        assert go_on.wait(60)
        return _Device()

    found: dict[str, Any] = {}

    def go(model: str, opens: Callable[[], object] = _Device, **how: bool) -> threading.Thread:
        def body() -> None:
            found[model] = enter(model, opens, **how)

        return threading.Thread(target=body, daemon=True)

    modest, alone, named = go("modest", slow, modest=True), go("alone", homeless=True), go("named")
    modest.start()
    assert opening.wait(60)
    alone.start()
    try:
        named.start()
        named.join(60)
        assert found.keys() == {"named"}
    finally:
        go_on.set()
        modest.join(60)
        alone.join(60)
    assert found["modest"].over, "it has left as soon as it had opened"
    assert not found["alone"].over


def test_nobody_makes_way_again_soon_for_what_did_not_open(
    enter: Callable[..., Any], now: list[float]
) -> None:
    """But later: a file, a library or a cable may have been mended."""
    for begun, leaves in ((0.0, True), (10.0, False), (599.0, False), (601.0, True), (1200.0, False)):
        now[0] = begun
        modest = enter("modest", modest=True)
        with pytest.raises(DeviceError, match="does not open"):
            enter("alone", _fails, homeless=True)
        assert modest.over is leaves, begun
        modest.over = True
    now[0] = 1190.0
    modest = enter("modest", modest=True)
    alone = enter("alone", homeless=True)
    assert not modest.over, "on another Edge TPU"
    alone.over = modest.over = True
    modest = enter("modest", modest=True)
    enter("alone", homeless=True)
    assert modest.over, "it has opened since"


def test_who_does_not_open_is_no_tenant(enter: Callable[..., Any]) -> None:
    """Else nobody modest would ever get a device."""
    for how in ({}, {"homeless": True}, {"modest": True}):
        with pytest.raises(DeviceError, match="does not open"):
            enter("one", _fails, **how)
    enter("modest", modest=True)
    with pytest.raises(DeviceError, match="an Edge TPU runs modest, and it is not taken away"):
        enter("another", modest=True)


def test_who_has_asked_for_a_device_or_has_no_other_leaves_it_to_nobody(enter: Callable[..., Any]) -> None:
    named, alone = enter("named"), enter("alone", homeless=True)
    enter("another", homeless=True)
    assert (named.over, alone.over) == (False, False)
    with pytest.raises(DeviceError, match="an Edge TPU runs alone, another, named, and it") as caught:
        enter("modest", modest=True)
    assert "Name an Edge TPU for each in EDGED_DEVICE" in caught.value.hint


@pytest.mark.parametrize(("devices", "leaves"), [(0, True), (1, True), (2, False)])
def test_nobody_leaves_while_there_is_another_device(
    enter: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    devices: int,
    leaves: bool,  # noqa: FBT001  # a case
) -> None:
    monkeypatch.setattr(hardware, "find", lambda: [object()] * devices)
    modest = enter("modest", modest=True)
    enter("alone", homeless=True)
    assert modest.over is leaves


def test_what_did_not_open_where_nobody_had_left_is_made_way_for(
    enter: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was there, or there was another device: it says nothing of what others would leave."""
    for devices, present in ((1, False), (2, True)):
        monkeypatch.setattr(hardware, "find", lambda devices=devices: [object()] * devices)
        modest = enter("modest", modest=True) if present else None
        with pytest.raises(DeviceError, match="does not open"):
            enter("alone", _fails, homeless=True)
        monkeypatch.setattr(hardware, "find", list)
        modest = modest or enter("modest", modest=True)
        enter("alone", homeless=True).over = True
        assert modest.over, devices
