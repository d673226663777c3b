"""Finding out why an Edge TPU cannot be used, from outside: libedgetpu does not say."""

from __future__ import annotations

import grp
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from coral_rig import CLASSIFIER, build

from edged.engines.coral import abi, hardware, precheck

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from coral_rig import Plug

    from edged.engines.coral.edgetpu import TpuAccess

NOBODY = 65534


def _usb(root: Path, name: str = "2-1", *, used: bool = True, speed: str = "5000", number: int = 3) -> Path:
    """Plug a USB Edge TPU into the file system of a test; its device file."""
    folder = root / "sys/bus/usb/devices" / name
    folder.mkdir(parents=True)
    ids = ("18d1", "9302") if used else ("1a6e", "089a")
    values = {"idVendor": ids[0], "idProduct": ids[1], "busnum": "2", "devnum": str(number), "speed": speed}
    for file, value in values.items():
        (folder / file).write_text(value + "\n")
    node = root / f"dev/bus/usb/002/{number:03}"
    node.parent.mkdir(parents=True, exist_ok=True)
    node.write_text("")
    return node


@contextmanager
def _as_nobody() -> Iterator[None]:
    """A user who may open little; root may open everything."""
    user = os.getuid()
    if user == 0:
        os.setresuid(NOBODY, 0, 0)  # access(2) goes by the first of them
    try:
        yield
    finally:
        if user == 0:
            os.setresuid(0, 0, 0)


def _problem(device: str, root: Path) -> tuple[str, str]:
    found = hardware.obstacle(device, hardware.find(root), root)
    return found.problem, found.hint


def test_devices_are_found_by_their_ids(tmp_path: Path) -> None:
    """On USB by one of two, before and after its first use; on PCIe by the driver's file."""
    _usb(tmp_path, "2-1", used=False, number=3)
    _usb(tmp_path, "1-1.4", speed="480", number=7)
    other = tmp_path / "sys/bus/usb/devices/usb1"
    other.mkdir()
    (other / "idVendor").write_text("1d6b\n")
    (tmp_path / "dev/apex_0").write_text("")
    pci, slow, fresh = hardware.find(tmp_path)
    assert (pci.bus, pci.path) == ("pci", "/dev/apex_0")
    assert (slow.path, slow.slow, slow.fresh) == ("/sys/bus/usb/devices/1-1.4", True, False)
    assert (fresh.path, fresh.slow, fresh.fresh) == ("/sys/bus/usb/devices/2-1", False, True)
    assert fresh.node == tmp_path / "dev/bus/usb/002/003"


def test_nothing_plugged_in_is_told(tmp_path: Path) -> None:
    """And where it was looked for."""
    (tmp_path / "sys/bus/usb/devices").mkdir(parents=True)
    problem, hint = _problem("edgetpu", tmp_path)
    assert problem == "there is none on USB (1a6e:089a or 18d1:9302) or PCIe (/dev/apex_*)"
    assert "cable, port and power" in hint
    assert _problem("edgetpu:pci:0", tmp_path)[0] == "there is none on PCIe (/dev/apex_*)"


def test_no_usb_at_all_is_told(tmp_path: Path) -> None:
    """As in a container that was given no devices."""
    problem, hint = _problem("edgetpu:usb:0", tmp_path)
    assert problem.endswith("and no USB at all")
    assert "container" in hint


def test_a_number_that_is_too_high_and_the_other_bus_are_told(tmp_path: Path) -> None:
    """Numbers begin with 0."""
    _usb(tmp_path)
    assert _problem("edgetpu:usb:1", tmp_path)[0] == "there is only 1 on usb, and edgetpu:usb:1 is number 2"
    assert _problem("edgetpu:pci:0", tmp_path)[0] == "there is none on PCIe (/dev/apex_*), but one on usb"


def test_a_device_that_belongs_to_another_group_is_told(tmp_path: Path) -> None:
    """With the group to join."""
    node = _usb(tmp_path)
    if os.getuid() == 0:
        os.chown(node, 0, grp.getgrnam("audio").gr_gid)
    owner = grp.getgrgid(node.stat().st_gid).gr_name
    node.chmod(0)
    with _as_nobody():
        problem, hint = _problem("edgetpu:usb:0", tmp_path)
    assert f"dev/bus/usb/002/003 of /sys/bus/usb/devices/2-1 belongs to the group '{owner}'" in problem
    assert f"sudo usermod -aG {owner} USER, or set SupplementaryGroups={owner}" in hint


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to root")
@pytest.mark.parametrize("ruled", [False, True])
def test_a_device_of_root_lacks_its_udev_rule(tmp_path: Path, ruled: bool) -> None:  # noqa: FBT001  # a case
    """Or has one that came after the device."""
    node = _usb(tmp_path)
    node.chmod(0)
    if ruled:
        rules = tmp_path / "lib/udev/rules.d/60-libedgetpu1-std.rules"
        rules.parent.mkdir(parents=True)
        rules.write_text(hardware.RULES[0])
    with _as_nobody():
        problem, hint = _problem("edgetpu", tmp_path)
    assert problem.endswith("no udev rule names the Edge TPU") != ruled
    assert (hardware.RULES[1] in hint) != ruled
    assert ("Plug it in again" in hint) == ruled


def test_a_pcie_device_without_its_driver_is_told(tmp_path: Path) -> None:
    """The kernel sees the card, and nothing serves it."""
    folder = tmp_path / "sys/bus/pci/devices/0000:01:00.0"
    folder.mkdir(parents=True)
    (folder / "vendor").write_text("0x1ac1\n")
    (folder / "device").write_text("0x089a\n")
    (tmp_path / "dev").mkdir()
    problem, hint = _problem("edgetpu:pci:0", tmp_path)
    assert problem == "/sys/bus/pci/devices/0000:01:00.0 is there, but no driver serves it"
    assert "gasket-dkms" in hint


def test_who_uses_the_device_is_told(tmp_path: Path) -> None:
    """It serves one process at a time."""
    node = _usb(tmp_path)
    process = tmp_path / "proc/4711"
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("frigate\n")
    (process / "fd/7").symlink_to(node)
    problem, hint = _problem("edgetpu", tmp_path)
    assert problem == "/sys/bus/usb/devices/2-1 is in use by frigate (4711), and serves one process at a time"
    assert "Stop that one" in hint


def test_a_device_with_nothing_against_it_is_perhaps_stuck(tmp_path: Path) -> None:
    """That is all that can be said."""
    _usb(tmp_path)
    assert _problem("edgetpu", tmp_path)[0].endswith("so it is perhaps in use or stuck")


@pytest.mark.parametrize(
    ("built_on", "said", "fits"),
    [
        ("a4dfb8d1a71385bd6d122e4f27f86dcebb96712d", "TensorFlow 2.5.0", False),
        ("f841394b1b714c5cc5366536411cf146c8c570df", "TensorFlow 2.13.1", False),
        ("4dacf3f368eb7965e9b5c3bbdd5193986081c3b2", "TensorFlow 2.14.0", True),
        ("3c92ac03cab816044f7b18a86eb86aa01a294d95", "TensorFlow 2.17.1", True),
        ("0123456789abcdef0123456789abcdef01234567", "TensorFlow commit 01234567", True),
    ],
)
def test_what_a_library_was_built_on_is_read_from_it(
    tmp_path: Path, built_on: str, said: str, *, fits: bool
) -> None:
    """Without loading it."""
    library = build(tmp_path, built_on=built_on)
    assert abi.commit(library) == built_on
    assert abi.release(built_on) == said
    assert (not abi.misfit(built_on, "tflite-runtime 2.14.0")) == fits


def test_a_library_that_does_not_say_what_it_was_built_on(tmp_path: Path) -> None:
    """Nothing is known against it."""
    library = tmp_path / "libedgetpu.so.1"
    for content in (b"", b"\x7fELF"):
        library.write_bytes(content)
        assert not abi.commit(library)
    assert abi.release("") == "an unknown TensorFlow"
    assert not abi.misfit("", "ai-edge-litert 2.3.0")


def _report(shared: Path, access: TpuAccess, root: Path) -> list[precheck.Finding]:
    return precheck.report(shared / "models" / CLASSIFIER, [access], root)


def test_the_whole_chain_is_reported(shared: Path, access: TpuAccess, tmp_path: Path) -> None:
    """Library, port and a model that really ran."""
    _usb(tmp_path)
    library, port, device = _report(shared, access, tmp_path)
    assert all(finding.state == "ok" for finding in (library, port, device))
    assert library.text.startswith(f"{access.library}, built on TensorFlow 2.16.1, used with ")
    assert port.text == "/sys/bus/usb/devices/2-1 is plugged in and may be opened"
    assert device.text.startswith(f"edgetpu runs {CLASSIFIER}: opened in ")


def test_notes_are_no_reason_not_to_go_on(shared: Path, access: TpuAccess, tmp_path: Path) -> None:
    """A slow port, and a library that is not known."""
    _usb(tmp_path, speed="480")
    unknown = build(tmp_path, built_on="0123456789abcdef0123456789abcdef01234567")
    library, port, device = _report(shared, replace(access, library=str(unknown)), tmp_path)
    assert [finding.state for finding in (library, port, device)] == ["note", "note", "ok"]
    assert library.ok
    assert "whether they fit is not known" in library.text
    assert "USB 2 port (480 Mbit/s)" in port.text


@pytest.mark.parametrize(
    ("words", "link", "text"),
    [
        ("crash=open", "library", "crashed (SIGSEGV) when it was looked at"),
        ("refuse=2", "device", "opens no Edge TPU: "),
        ("crash=prepare", "device", "crashed (SIGSEGV) while loading the model on the Edge TPU"),
        ("abort=5", "device", "gave up (SIGABRT) in an invoke"),
    ],
)
def test_problems_are_findings(
    shared: Path, plug: Plug, access: TpuAccess, tmp_path: Path, *, words: str, link: str, text: str
) -> None:
    """Even where the library crashes."""
    plug.put(words)
    problems = [finding for finding in _report(shared, access, tmp_path) if not finding.ok]
    assert [finding.link for finding in problems] == [link]
    assert text in problems[0].text


def test_a_library_that_does_not_fit_is_reported_and_not_tried(
    shared: Path, plug: Plug, access: TpuAccess, tmp_path: Path
) -> None:
    """With the one to install instead."""
    old = build(tmp_path, built_on="a4dfb8d1a71385bd6d122e4f27f86dcebb96712d")
    first, *_ = _report(shared, replace(access, library=str(old)), tmp_path)
    assert first.text.endswith("they do not fit")
    assert first.hint == abi.INSTALL
    assert not plug.opened()
