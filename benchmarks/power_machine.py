"""A Debian machine whose power can be taken away: a Linux kernel that runs as a process (user mode Linux).

The kernel is Debian's, of sid: older ones do not know the registers of today's processors. It is a real
one, with ext4 on a disk of its own, and starts systemd and edged's package in a Debian. What it computes
runs as fast as here, system calls take longer. Needs root, mmdebstrap, and namespaces of mounts and of the
network that nobody else uses.

Its disk is a file, written to at once whenever the kernel does: what was in the kernel's cache is lost with
it, what the disk has acknowledged is not. The kernel's flushes go nowhere here (seen by strace): a disk with
a cache of its own, that forgets what it was not told to flush, cannot be had this way.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from system.packaging import build
from system.roots import BOOTABLE, CACHE, PROJECT, debian, kept
from system.wheels import download

SUITE = "trixie"
_SOURCES = (
    "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian sid main\n"
)
_UNUSED = (
    *("mosquitto", "ssh", "systemd-logind", "getty@tty1", "apt-daily.timer", "apt-daily-upgrade.timer"),
    *("dpkg-db-backup.timer", "fstrim.timer", "systemd-networkd-wait-online"),
)
"""They only take time here."""
_LOOK = """#!/bin/sh
# Shows the other side what is here after a boot: video, spool and journal.
mount -t hostfs -o hostfs=/srv none /mnt
rm -rf /mnt/video
cp -r /var/lib/edged/video /mnt/video
ls /var/lib/edged/spool >/mnt/spool
systemctl show --property=NRestarts --property=ActiveState edged >/mnt/service
journalctl --unit=edged --boot --output=cat --no-pager >/mnt/journal
cut -d' ' -f1 /proc/uptime >/mnt/looked.part
mv /mnt/looked.part /mnt/looked
umount /mnt
"""
_CAGE = """
root=$1 kernel=$2 shown=$3 disk=$4
shift 4
# The kernel is linked with a later libc than that of Debian 12: it runs in a Debian 13. These mounts are its
# own and go with it.
mount --bind -o ro "$root" /mnt
mount --bind "$shown" /mnt/srv
mount --bind "$disk" /mnt/mnt
mount --bind "$kernel" /mnt/opt
mount -t tmpfs scratch /mnt/tmp
mount -t proc proc /mnt/proc
mount -t tmpfs devices /mnt/dev
mkdir /mnt/dev/net /mnt/dev/shm
cp -a /dev/null /dev/zero /dev/random /dev/urandom /mnt/dev
cp -a /dev/net/tun /mnt/dev/net
exec chroot /mnt /opt/linux.uml "$@"
"""
_LOOK_UNIT = """[Unit]
After=edged.service
[Service]
Type=oneshot
ExecStart=/usr/local/bin/look
[Install]
WantedBy=multi-user.target
"""


def kernel() -> Path:
    """The folder with Debian's kernel of sid that runs as a process, fetched once."""
    folder = CACHE / "user-mode-linux"
    with kept(folder) as missing:
        if missing:
            part = folder.with_name("user-mode-linux.part")
            shutil.rmtree(part, ignore_errors=True)
            (part / "lists/partial").mkdir(parents=True)
            (part / "archives/partial").mkdir(parents=True)
            (part / "sources.list").write_text(_SOURCES)
            (part / "status").touch()
            options = {
                "Dir::Etc::sourcelist": part / "sources.list", "Dir::Etc::sourceparts": "/dev/null",
                "Dir::State::lists": part / "lists", "Dir::State::status": part / "status",
                "Dir::Cache": part, "APT::Sandbox::User": "root",
            }  # fmt: skip
            apt = ["apt-get", "-qq", *(f"-o{name}={value}" for name, value in options.items())]
            subprocess.run([*apt, "update"], check=True)
            subprocess.run([*apt, "download", "user-mode-linux"], check=True, cwd=part)
            package = next(part.glob("*.deb"))
            subprocess.run(["dpkg-deb", "-x", str(package), str(part / "root")], check=True)
            shutil.rmtree(part / "lists")
            part.rename(folder)
    return folder


def fetch() -> None:
    """All that comes from elsewhere; later there may be no network."""
    kernel()
    debian(SUITE, BOOTABLE)


def package(folder: Path) -> Path:
    """The .deb of this checkout."""
    wheels = download("ai-edge-litert", python="3.13", machine="x86_64")
    return build(PROJECT, SUITE, wheels, folder)


class Machine:
    """One machine: its disk, its cable to this side, its power.

    Args:
        folder: for its disk and its log.
        number: which one; it sees this side as :attr:`gateway`.
    """

    def __init__(self, folder: Path, number: int) -> None:
        folder.mkdir()
        self._number, self._folder = number, folder
        self.gateway = f"10.77.{number}.1"
        self.shown = folder / "shown"
        """What it shows of itself after a boot."""
        self.shown.mkdir()
        self._disk = folder / "disk"
        self._disk.mkdir()
        self._tap = f"power{number}"
        self._kernel = kernel()
        self._process: subprocess.Popen[bytes] | None = None
        for command in (
            f"tuntap add {self._tap} mode tap",
            f"address add {self.gateway}/24 dev {self._tap}",
            f"link set {self._tap} up",
        ):
            subprocess.run(["ip", *command.split()], check=True)

    def install(self, deb: Path, settings: dict[str, str], files: list[Path]) -> None:
        """Debian, edged and the settings; nothing of it runs yet."""
        disk, root = self._disk / "ext4", self._folder / "root"
        with disk.open("wb") as image:
            image.truncate(1_800_000_000)
        subprocess.run(["mkfs.ext4", "-q", str(disk)], check=True)
        root.mkdir()
        subprocess.run(["mount", "-o", "loop", str(disk), str(root)], check=True)
        try:
            subprocess.run(["cp", "-a", f"{debian(SUITE, BOOTABLE)}/.", str(root)], check=True)
            for path in files:
                shutil.copy(path, root / "srv")
                (root / "srv" / path.name).chmod(0o644)
            inside = ["chroot", str(root)]
            packed = Path(shutil.copy(deb, root))
            subprocess.run([*inside, "dpkg", "--install", f"/{deb.name}"], check=True, capture_output=True)
            packed.unlink()
            lines = "".join(f"{name}={value}\n" for name, value in settings.items())
            (root / "etc/edged/edged.env").write_text(lines)
            self._configure(root)
            units = ["edged", "look", "systemd-networkd"]
            subprocess.run([*inside, "systemctl", "enable", *units], check=True, capture_output=True)
            subprocess.run([*inside, "systemctl", "mask", *_UNUSED], check=True, capture_output=True)
        finally:
            subprocess.run(["umount", str(root)], check=True)

    def _configure(self, root: Path) -> None:
        (root / "etc/fstab").write_text("/dev/ubda / ext4 errors=remount-ro 0 1\n")
        (root / "etc/hostname").write_text(f"power{self._number}\n")
        (root / "etc/systemd/network/cable.network").write_text(
            f"[Match]\nName=vec*\n[Network]\nAddress=10.77.{self._number}.2/24\n"
        )
        (root / "usr/local/bin/look").write_text(_LOOK)
        (root / "usr/local/bin/look").chmod(0o755)
        (root / "etc/systemd/system/look.service").write_text(_LOOK_UNIT)

    def switch_on(self) -> None:
        """Give it power; it boots by itself."""
        (self.shown / "looked").unlink(missing_ok=True)
        places = [debian(SUITE, BOOTABLE), self._kernel / "root/usr/bin", self.shown, self._disk]
        command = [
            "unshare", "--mount", "--propagation=private", "sh", "-ec", _CAGE, "sh", *map(str, places),
            "mem=768M", f"umid={self._tap}", "seccomp=auto", "root=/dev/ubda", "rw",
            "ubda=/mnt/ext4", "con=null", "con0=null,fd:1",
            f"vec0:transport=tap,ifname={self._tap},depth=128,gro=1", "panic=1",
        ]  # fmt: skip
        with (self._folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True, env={"HOME": "/tmp", "PATH": "/usr/sbin:/usr/bin"},  # noqa: S108  # of the cage
            )  # fmt: skip

    def lose_power(self) -> float:
        """Take its power away; when that was, seconds since 1970."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        cut = time.time()
        self._process.wait()
        self._process = None
        return cut

    def alive(self) -> bool:
        """Whether its kernel runs."""
        return self._process is not None and self._process.poll() is None

    def console(self) -> str:
        """The last of what it has said there."""
        return (self._folder / "console").read_text(errors="replace")[-3000:]

    def close(self) -> None:
        """Switch it off for good."""
        if self._process is not None:
            self.lose_power()
