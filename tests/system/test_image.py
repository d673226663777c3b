"""The container image: as small as it is said to be, and run as it is meant to be run: locked up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import rig
from daemon import until

from system.packaging import build
from system.roots import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rig import Mosquitto

pytest_plugins = ("mqtt_fixtures",)

MOST_MB = 450
USER = "10001"


@pytest.fixture(scope="module")
def archive(
    checkouts: dict[str, Path], wheelhouses: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """What 'make image' makes."""
    folder = tmp_path_factory.mktemp("image")
    package = build(checkouts["src"], "trixie", wheelhouses["trixie"], folder)
    command = [str(PROJECT / "deploy/image/build.sh"), "amd64", str(folder)]
    environment = os.environ | {"PACKAGE": str(package)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "edged-image-amd64.tar"


@pytest.fixture(scope="module")
def unpacked(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The root folder of the image, and how it is to be run."""
    root = tmp_path_factory.mktemp("image-root")
    root.chmod(0o755)
    with tarfile.open(archive) as tar:
        (manifest,) = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]  # it is a file
        config = json.load(tar.extractfile(manifest["Config"]))  # type: ignore[arg-type]  # so is this
        for layer in manifest["Layers"]:
            extract = ["tar", "-x", "-C", str(root)]
            subprocess.run(extract, input=tar.extractfile(layer).read(), check=True)  # type: ignore[union-attr]
    return root, config


def locked_up(root: Path, data: Path, *command: str) -> list[str]:
    """``command`` as container runtimes start it: a user that is nobody, a root that is read only."""
    script = (
        'root=$0 data=$1; shift; mount --bind "$root" "$root"; mount -o remount,bind,ro "$root"; '
        'mount -t proc proc "$root/proc"; mount --bind /dev "$root/dev"; mount -t tmpfs tmpfs "$root/tmp"; '
        'mount --bind "$data" "$root/var/lib/edged"; exec chroot --userspec 10001:10001 "$root" "$@"'
    )
    options = ["--mount", "--pid", "--fork"]
    return ["unshare", *options, "sh", "-ec", script, str(root), str(data), *command]


@pytest.fixture
def data(tmp_path: Path, demo_models: dict[str, Path]) -> Path:
    """The volume, with a model and a clip in it."""
    folder = tmp_path / "volume"
    folder.mkdir()
    for path in (demo_models["sparse"], PROJECT / "models/demo.mp4"):
        (folder / path.name).write_bytes(path.read_bytes())
    subprocess.run(["chown", "-R", f"{USER}:{USER}", str(folder)], check=True)
    for parent in (tmp_path, folder):
        parent.chmod(0o755)
    return folder


@pytest.fixture
def running(
    unpacked: tuple[Path, dict[str, Any]], data: Path, mosquitto: Mosquitto
) -> Iterator[tuple[dict[str, str], subprocess.Popen[bytes]]]:
    """The image at work, with what its own configuration sets."""
    root, config = unpacked
    environment = dict(line.split("=", 1) for line in config["config"]["Env"])
    environment |= {
        "EDGED_HTTP": f"127.0.0.1:{rig.free_port()}",
        "EDGED_SOURCE": "/var/lib/edged/demo.mp4",
        "EDGED_LOOP": "true",
        "EDGED_POLICY": "latest",
        "EDGED_MODEL": "/var/lib/edged/face_detection_full_range_sparse.tflite",
        "EDGED_OUTPUT": "/var/lib/edged/video",
        "EDGED_MQTT_URL": str(mosquitto.broker),
        "EDGED_NODE": "lab1",
        "EDGED_CAMERA": "front",
    }
    command = locked_up(root, data, *config["config"]["Entrypoint"], "run")
    host = {"PATH": f"/usr/sbin:/sbin:/bin:{environment['PATH']}"}
    process = subprocess.Popen(command, env=environment | host)
    yield environment | host, process
    # Its first process is no child that ends with its parent, as it has changed its user.
    for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
        os.kill(int(child), signal.SIGTERM)
    assert process.wait(120) == 0, "it stops when it is asked to"


def test_it_is_as_small_as_it_is_said_to_be(unpacked: tuple[Path, dict[str, Any]]) -> None:
    """In the layers, and without a shell or a package manager."""
    root, config = unpacked
    size = subprocess.run(
        ["du", "-sm", "--apparent-size", str(root)], capture_output=True, text=True, check=True
    )
    assert int(size.stdout.split()[0]) <= MOST_MB
    assert not [name for name in ("sh", "bash", "apt", "dpkg") if (root / "usr/bin" / name).exists()]
    assert config["config"]["User"] == f"{USER}:{USER}"
    assert config["config"]["Healthcheck"]["Test"] == ["CMD", "/usr/bin/edged-health"]


def test_it_detects_and_says_that_it_is_healthy(
    running: tuple[dict[str, str], subprocess.Popen[bytes]],
    unpacked: tuple[Path, dict[str, Any]],
    data: Path,
    mosquitto: Mosquitto,
) -> None:
    """Detections arrive, the health check agrees, segments lie in the volume, nothing else can be written."""
    environment, process = running
    with rig.Subscriber(mosquitto.port, "edged/lab1/front/detections") as subscriber:
        until(lambda: any(json.loads(m)["detections"] for m in subscriber.on("edged/lab1/front/detections")))
    root, _ = unpacked

    def inside(*command: str) -> subprocess.CompletedProcess[str]:
        call = locked_up(root, data, *command)
        return subprocess.run(call, env=environment, capture_output=True, text=True, check=False)

    healthy = inside("/usr/bin/edged-health")
    assert healthy.returncode == 0, healthy.stderr
    until(lambda: list((data / "video").rglob("*.mp4")))
    wrote = inside("/opt/edged/bin/python", "-c", "open('/etc/edged/x', 'w')")
    assert "Read-only file system" in wrote.stderr or "Permission denied" in wrote.stderr
    environment["EDGED_HTTP"] = f"127.0.0.1:{rig.free_port()}"
    assert inside("/usr/bin/edged-health").returncode == 1, "nobody is there"
    assert process.poll() is None


def test_buildah_runs_the_demos_clip_in_it(archive: Path, data: Path, tmp_path: Path) -> None:
    """A container of what was built, from the archive that everybody loads: the faces, and nothing else."""
    places = [
        "--root",
        str(tmp_path / "store"),
        "--runroot",
        str(tmp_path / "run"),
        "--storage-driver",
        "vfs",
    ]

    def buildah(*arguments: str) -> str:
        done = subprocess.run(
            ["buildah", *places, *arguments], capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    settings = {
        "EDGED_SOURCE": "demo.mp4",
        "EDGED_MODEL": "face_detection_full_range_sparse.tflite",
        "EDGED_OUTPUT": "out.mp4",
        "EDGED_JSONL": "lines.jsonl",
        "EDGED_HTTP": f"127.0.0.1:{rig.free_port()}",
    }
    container = buildah("from", f"docker-archive:{archive}")
    try:
        options = ["--isolation", "chroot", "--volume", f"{data}:/var/lib/edged"]
        options += [f"--env={name}={value}" for name, value in settings.items()]
        buildah("run", *options, container, "--", "/usr/bin/edged", "run")
    finally:
        buildah("rm", container)
    lines = [json.loads(line) for line in (data / "lines.jsonl").read_text().splitlines()]
    found = [len(line["detections"]) for line in lines]
    assert len(found) == 200
    assert all(found[36:169])
    assert not any(found[:32])
    assert (data / "out.mp4").stat().st_uid == int(USER)
    probe = ["ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=nb_read_packets"]
    counted = subprocess.run(
        [*probe, "-of", "csv=p=0", str(data / "out.mp4")], capture_output=True, text=True, check=True
    )
    assert counted.stdout.strip() == "200"
