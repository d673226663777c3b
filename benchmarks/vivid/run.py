"""A real /dev/video0 without a camera: boots a Debian kernel with its test camera (vivid) in QEMU.

The machine sees this machine's files, read only, so the tests inside run with the same Python. What they
print goes to the terminal and, with ``--record``, into ``result.txt``. It needs the packages qemu-system-x86,
busybox-static, kmod, cpio and v4l-utils, and fetches the kernel package once::

    python benchmarks/vivid/run.py            # about 2 minutes
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = Path("/var/tmp/edged-vivid")  # noqa: S108  # made by root, which apt wants anyway
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "vivid")
MARK = "=== edged ==="
TOOLS = ("qemu-system-x86_64", "busybox", "modprobe", "depmod", "cpio", "v4l2-ctl", "apt-get", "dpkg-deb")
LIMIT_S = 1800

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /host
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
{insmod}
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=524288,cache=loose host /host
for kernel in proc sys dev; do /bin/busybox mount --move /$kernel /host/$kernel; done
for scratch in tmp run var/tmp; do /bin/busybox mount -t tmpfs scratch /host/$scratch; done
echo "{mark}"
/bin/busybox chroot /host /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp \\
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 {python} {script}
echo "{mark}"
/bin/busybox poweroff -f
"""


def main() -> int:
    """Boot, show what the tests say, and tell whether all is as promised."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--record", action="store_true", help="write what the tests say into result.txt")
    options = parser.parse_args()
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        print(f"missing: {', '.join(missing)}")
        return 1
    root = _kernel()
    with tempfile.TemporaryDirectory() as folder:
        initrd = _initrd(root, Path(folder))
        lines = _boot(next((root / "boot").glob("vmlinuz-*")), initrd)
    if options.record:
        (HERE / "result.txt").write_text("\n".join(lines) + "\n")
    total = lines[-1].split() if lines else []
    return 0 if len(total) > 2 and total[0] == total[2] else 1


def _kernel() -> Path:
    """The unpacked kernel package of this Debian."""
    root = CACHE / "kernel"
    if root.is_dir():
        return root
    CACHE.mkdir(parents=True, exist_ok=True)
    depends = subprocess.run(
        ["apt-cache", "depends", "linux-image-amd64"], check=True, capture_output=True, text=True
    ).stdout
    package = next(line.split()[-1] for line in depends.splitlines() if "Depends:" in line)
    subprocess.run(["apt-get", "download", package], check=True, cwd=CACHE)
    part = CACHE / "kernel.part"
    subprocess.run(["dpkg-deb", "-x", str(next(CACHE.glob(f"{package}_*.deb"))), str(part)], check=True)
    subprocess.run(["depmod", "-b", str(part), _release(part)], check=True)
    part.rename(root)
    return root


def _release(root: Path) -> str:
    return next((root / "lib" / "modules").iterdir()).name


def _initrd(root: Path, folder: Path) -> Path:
    """busybox, the modules that are needed, and what to do with them."""
    tree = folder / "tree"
    (tree / "bin").mkdir(parents=True)
    busybox = shutil.which("busybox")
    assert busybox is not None
    shutil.copy(busybox, tree / "bin" / "busybox")
    load: dict[str, None] = {}
    for module in MODULES:
        command = ["modprobe", "-d", str(root), "-S", _release(root), "--show-depends", module]
        shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        load |= dict.fromkeys(line.split()[1] for line in shown.splitlines() if line.startswith("insmod"))
    insmod = []
    for path in map(Path, load):
        shutil.copy(path, tree / path.name)
        # One device that captures video, and nothing else.
        options = " n_devs=1 node_types=0x1" if path.stem == "vivid" else ""
        insmod.append(f"/bin/busybox insmod /{path.name}{options}")
    init = tree / "init"
    # sys.executable without its links: a virtual environment is found by the path of its own.
    text = INIT.format(insmod="\n".join(insmod), mark=MARK, python=sys.executable, script=HERE / "inside.py")
    init.write_text(text)
    init.chmod(0o755)
    initrd = folder / "initrd"
    names = "\n".join(str(path.relative_to(tree)) for path in tree.rglob("*"))
    with initrd.open("wb") as stream:
        subprocess.run(
            ["cpio", "-o", "-H", "newc", "--quiet"], input=names.encode(), stdout=stream, cwd=tree, check=True
        )
    return initrd


def _boot(kernel: Path, initrd: Path) -> list[str]:
    """Run the machine; what was printed between the marks."""
    # Emulated, not virtualised: that works everywhere, and slowly.
    command = [
        "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536",
        "-display", "none", "-serial", "stdio", "-monitor", "none", "-nic", "none", "-no-reboot",
        "-kernel", str(kernel), "-initrd", str(initrd), "-append", "console=ttyS0 quiet panic=-1",
        "-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
    ]  # fmt: skip
    lines: list[str] = []
    inside = False
    with subprocess.Popen(
        ["timeout", str(LIMIT_S), *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as machine:
        assert machine.stdout is not None
        for line in machine.stdout:
            text = line.rstrip("\r\n")
            if text.endswith(MARK):
                inside = not inside
            elif inside:
                lines.append(text)
                print(text, flush=True)
    return lines


if __name__ == "__main__":
    raise SystemExit(main())
