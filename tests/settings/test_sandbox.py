"""What systemd keeps the service from is told by the property that does it, from what is mounted."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.errors import ModelError
from edged.model import file
from edged.settings import sandbox

STRICT = """\
600 599 254:1 / / ro,relatime shared:1 - ext4 /dev/vda1 rw
601 600 0:24 /systemd/inaccessible/dir /home ro,nosuid - tmpfs tmpfs rw,mode=755
602 600 254:1 /var/tmp/systemd-private-1-edged.service-x/tmp /tmp rw - ext4 /dev/vda1 rw
603 600 254:1 /var/lib/edged /var/lib/edged rw,relatime - ext4 /dev/vda1 rw
604 600 0:24 /host/inaccessible/dir /srv/kept\\040away ro,nosuid - tmpfs tmpfs rw,mode=755
605 600 254:9 / /mnt/worn ro,relatime - ext4 /dev/vdb1 ro
nonsense
"""
OF_ITS_OWN = "OTHERWISE"


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As inside a unit with ProtectSystem=strict, ProtectHome=yes and PrivateTmp=yes."""
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/edged")
    path = tmp_path / "mountinfo"
    path.write_text(STRICT)
    return path


@pytest.mark.parametrize(
    ("path", "writing", "names"),
    [
        ("/home/pi/model.tflite", False, "cannot see /home (ProtectHome=yes): put it into /var/lib/edged"),
        ("/tmp/model.tflite", False, "a /tmp of its own (PrivateTmp=yes)"),  # noqa: S108  # nothing is there
        ("/srv/kept away/model.tflite", False, "InaccessiblePaths="),
        ("/srv/video", True, "ProtectSystem=strict"),
        ("/srv/missing.tflite", False, OF_ITS_OWN),
        ("/homes/model.tflite", False, OF_ITS_OWN),
        ("/var/lib/edged/video", True, OF_ITS_OWN),
        ("/mnt/worn/video", True, OF_ITS_OWN),
    ],
)
def test_the_property_is_named(mounts: Path, path: str, *, writing: bool, names: str) -> None:
    """And only where it is the cause: a disk that is read-only by itself is no matter of the unit."""
    assert names in sandbox.explained(Path(path), OF_ITS_OWN, writing=writing, mounts=mounts)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("601 600 0:30 / /home ro,nosuid - tmpfs tmpfs ro", "ProtectHome=tmpfs"),
        ("601 600 254:1 /home /home ro,relatime - ext4 /dev/vda1 rw", "ProtectHome=read-only"),
    ],
)
def test_the_other_values_of_protect_home(mounts: Path, line: str, says: str) -> None:
    mounts.write_text(f"600 599 254:1 / / rw - ext4 /dev/vda1 rw\n{line}\n")
    assert says in sandbox.explained(Path("/home/pi/video"), OF_ITS_OWN, writing=True, mounts=mounts)


@pytest.mark.parametrize(
    ("lines", "path", "says"),
    [
        ("601 600 0:60 / /dev ro,nosuid,noexec - tmpfs tmpfs rw", "/dev/video0", "PrivateDevices=yes"),
        ("601 600 0:60 / /dev rw,nosuid - tmpfs tmpfs rw", "/dev/video0", OF_ITS_OWN),  # of a container
        ("601 600 0:60 / /srv rw,nodev - tmpfs tmpfs rw", "/srv/m.tflite", "TemporaryFileSystem="),
        ("601 600 0:60 / /tmp rw,nodev - tmpfs tmpfs rw", "/tmp/m.tflite", OF_ITS_OWN),  # noqa: S108  # as above
        ("601 600 254:1 /srv /srv ro - ext4 /dev/vda1 rw", "/srv/video", "ReadOnlyPaths="),
        ("601 600 254:1 /etc /etc ro - ext4 /dev/vda1 rw", "/etc/edged/video", "(ProtectSystem=)"),
        ("", "/srv/video", OF_ITS_OWN),
        # The last mount of a place is on top.
        (
            "601 600 0:60 / /srv rw - tmpfs tmpfs rw\n602 601 254:1 /a /srv rw - ext4 /dev/vda1 rw",
            "/srv/video",
            OF_ITS_OWN,
        ),
    ],
)
def test_restrictions_of_an_own_drop_in(mounts: Path, lines: str, path: str, says: str) -> None:
    """As systemd 252 mounts them where nothing else is restricted."""
    mounts.write_text(f"600 599 254:1 / / rw - ext4 /dev/vda1 rw\n{lines}\n")
    assert says in sandbox.explained(Path(path), OF_ITS_OWN, writing=True, mounts=mounts)


def test_without_systemd_nothing_is_put_down_to_it(mounts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("INVOCATION_ID")
    assert sandbox.explained(Path("/home/pi/model.tflite"), OF_ITS_OWN, mounts=mounts) == OF_ITS_OWN


def test_a_device_that_the_unit_does_not_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """EPERM, where the rights of the file would be EACCES."""
    refused = PermissionError(1, "Operation not permitted")
    assert sandbox.device_explained(refused, OF_ITS_OWN) == OF_ITS_OWN
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    assert "DeviceAllow=" in sandbox.device_explained(refused, OF_ITS_OWN)
    assert sandbox.device_explained(PermissionError(13, "Permission denied"), OF_ITS_OWN) == OF_ITS_OWN


def test_the_real_table_of_mounts_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine hides nothing from a model that is not there."""
    monkeypatch.setenv("INVOCATION_ID", "0" * 32)
    with pytest.raises(ModelError, match="Look for it in"):
        file.read(tmp_path / "none.tflite")
