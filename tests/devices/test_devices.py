"""``edged devices``: what is plugged in, each with the line that chooses it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from edged.devices import proposal
from edged.settings.cameras import split

HERE = Path(__file__).parent
RPICAM = """\
Available cameras
-----------------
0 : imx708 [4608x2592 10-bit RGGB] (/base/soc/i2c0mux/i2c@1/imx708@1a)
    Modes: 'SRGGB10_CSI2P' : 1536x864 [120.13 fps - (768, 432)/3072x1728 crop]
                             4608x2592 [14.35 fps - (0, 0)/4608x2592 crop]

1 : ov5647 [2592x1944 10-bit GBRG] (/base/soc/i2c0mux/i2c@0/ov5647@36)
    Modes: 'SGBRG10_CSI2P' : 640x480 [58.92 fps - (16, 0)/2560x1920 crop]
"""


def _compile(source: Path, target: Path) -> Path:
    if shutil.which("gcc") is None:
        pytest.skip("gcc, which builds what stands for the hardware, is not installed")
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(target),
        str(source),
    ]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="session")
def video4linux(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What answers as the kernel would."""
    return _compile(HERE / "fake_v4l2.c", tmp_path_factory.mktemp("v4l2") / "fake_v4l2.so")


@pytest.fixture(scope="session")
def libedgetpu(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The fake library."""
    source = HERE.parent / "engines" / "edgetpu" / "fake_edgetpu.c"
    return _compile(source, tmp_path_factory.mktemp("edgetpu") / "libedgetpu.so.1")


def _devices(*arguments: str, **environ: str) -> str:
    """What ``edged devices`` prints."""
    ran = subprocess.run(
        [sys.executable, "-m", "edged", "devices", *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert not ran.stderr
    return ran.stdout


def _cameras(folder: Path, **environ: str) -> str:
    """The cameras below a folder, one line each and its formats below."""
    script = (
        "import sys; from pathlib import Path; from edged.devices import listing\n"
        "found_cameras = listing.cameras(Path(sys.argv[1]))\n"
        "for found in found_cameras.devices: print(found.setting, found.name, *found.details, sep='\\n')\n"
        "for remark in found_cameras.remarks: print('#', remark)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, str(folder)],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_cameras_are_told_from_the_other_files_of_video4linux(tmp_path: Path, video4linux: Path) -> None:
    """With formats, sizes and rates as the kernel's own header lays them out."""
    kinds = {
        "video0": "camera",
        "video1": "metadata",
        "video2": "planes",
        "video10": "decoder",
        "video11": "?",
    }
    for name, kind in kinds.items():
        (tmp_path / name).write_text(kind)
    assert _cameras(tmp_path, LD_PRELOAD=str(video4linux)).splitlines() == [
        f"EDGED_SOURCE={tmp_path}/video0",
        "A Camera: A Camera (uvcvideo, usb-0000:01:00.0-1.2)",
        "MJPG 1920x1080 at 30 fps, 1280x720 at 60 fps",
        "YUYV 640x480 at 30 fps",
        f"EDGED_SOURCE={tmp_path}/video2",
        "A Camera: A Camera (uvcvideo, usb-0000:01:00.0-1.2)",
        "MJPG YUYV 4056x3040",
        f"# {tmp_path}/video11 cannot be asked (Inappropriate ioctl for device)",
    ]


@pytest.mark.parametrize("tool", ["rpicam-hello", "libcamera-hello"])
def test_csi_cameras_come_from_the_tool_of_raspberry_pi_os(tmp_path: Path, tool: str) -> None:
    """By its present name and its former one."""
    program = tmp_path / tool
    program.write_text(f"#!/bin/sh\ntest \"$1\" = --list-cameras && cat <<'END'\n{RPICAM}END\n")
    program.chmod(stat.S_IRWXU)
    shown = _cameras(tmp_path / "nothing", PATH=f"{tmp_path}:{os.environ['PATH']}").splitlines()
    assert shown == [
        "EDGED_SOURCE=csi:0",
        "imx708 (4608x2592 10-bit RGGB, /base/soc/i2c0mux/i2c@1/imx708@1a)",
        "1536x864 up to 120.13 fps",
        "4608x2592 up to 14.35 fps",
        "EDGED_SOURCE=csi:1",
        "ov5647 (2592x1944 10-bit GBRG, /base/soc/i2c0mux/i2c@0/ov5647@36)",
        "640x480 up to 58.92 fps",
    ]


def test_a_tool_that_fails_is_told(tmp_path: Path) -> None:
    """There may be cameras that nobody sees."""
    program = tmp_path / "rpicam-hello"
    program.write_text("#!/bin/sh\necho 'ERROR: *** failed to acquire camera ***' >&2\nexit 255\n")
    program.chmod(stat.S_IRWXU)
    shown = _cameras(tmp_path / "nothing", PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert shown == f"# {program} --list-cameras failed: ERROR: *** failed to acquire camera ***\n"


def test_edge_tpus_are_numbered_as_the_library_counts(libedgetpu: Path, tmp_path: Path) -> None:
    """By kind, which is what the setting wants."""
    plug = tmp_path / "plug"
    plug.write_text("usb=2 pci=1")
    shown = _devices("--library", str(libedgetpu), FAKE_EDGETPU=str(plug))
    for line in (
        "EDGED_DEVICE=edgetpu:pci:0       /dev/apex_0",
        "EDGED_DEVICE=edgetpu:usb:0       /sys/bus/usb/devices/2-1",
        "EDGED_DEVICE=edgetpu:usb:1       /sys/bus/usb/devices/2-2",
        f"# listed by {libedgetpu}, built on TensorFlow 2.16.1",
    ):
        assert line in shown


@pytest.mark.parametrize("whose", ["Coral", "Allen"])
def test_pycoral_is_asked_only_if_it_is_corals(libedgetpu: Path, tmp_path: Path, whose: str) -> None:
    """The package of that name on PyPI is about an atlas of coral reefs."""
    package = tmp_path / "site" / "pycoral"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    if whose == "Coral":
        (package / "utils").mkdir()
        (package / "utils" / "__init__.py").write_text("")
        (package / "utils" / "edgetpu.py").write_text(
            "def list_edge_tpus():\n    return [{'type': 'usb', 'path': '/sys/bus/usb/devices/4-2'}]\n"
        )
    path = os.pathsep.join(filter(None, [str(package.parent), os.environ.get("PYTHONPATH", "")]))
    shown = _devices("--library", str(libedgetpu), FAKE_EDGETPU="", PYTHONPATH=path)
    assert ("listed by pycoral" in shown) == (whose == "Coral")
    assert ("/sys/bus/usb/devices/4-2" in shown) == (whose == "Coral")


@pytest.mark.parametrize(
    ("library", "words", "remark"),
    [
        ("libnowhere.so.1", "", "# the library libnowhere.so.1 for the Edge TPU is not installed"),
        ("libc.so.6", "", "# the library libc.so.6 is not for the Edge TPU"),
        ("", "crash=open", "crashed (SIGSEGV) when it was looked at"),
    ],
)
def test_a_library_that_cannot_be_asked_is_a_remark(
    libedgetpu: Path, tmp_path: Path, library: str, words: str, remark: str
) -> None:
    """Whatever it does, the rest is listed."""
    plug = tmp_path / "plug"
    plug.write_text(words)
    shown = _devices("--library", library or str(libedgetpu), FAKE_EDGETPU=str(plug))
    assert remark in shown
    assert "none; EDGED_DEVICE=cpu needs none" in shown


@pytest.mark.parametrize(
    ("plugged", "expected"),
    [
        ("usb=0", []),
        ("usb=1", ["EDGED_DEVICE=edgetpu:usb:0"]),
        ("usb=2", ["EDGED_CSI1_DEVICE=edgetpu:usb:0", "EDGED_CSI2_DEVICE=edgetpu:usb:1"]),
        ("pci=1 usb=2", ["EDGED_CSI1_DEVICE=edgetpu:pci:0", "EDGED_CSI2_DEVICE=edgetpu:usb:0"]),
    ],
)
def test_the_lines_of_an_env_file_with_all_of_it_are_proposed(
    libedgetpu: Path, tmp_path: Path, plugged: str, expected: list[str]
) -> None:
    """They are lines that edged reads: a camera each, and an Edge TPU of its own where there are enough."""
    program = tmp_path / "rpicam-hello"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{RPICAM}END\n")
    program.chmod(stat.S_IRWXU)
    plug = tmp_path / "plug"
    plug.write_text(plugged)
    shown = _devices(
        "--library", str(libedgetpu), FAKE_EDGETPU=str(plug), PATH=f"{tmp_path}:{os.environ['PATH']}"
    )
    lines = [line.strip() for line in shown.partition("For the env file")[2].splitlines()[1:]]
    cameras = ["EDGED_CAMERAS=csi1,csi2", "EDGED_CSI1_SOURCE=csi:0", "EDGED_CSI2_SOURCE=csi:1"]
    assert lines == [*cameras, *expected]
    found, problems = split(dict(line.split("=") for line in lines))
    assert problems == []
    assert [one.values["EDGED_SOURCE"] for one in found] == ["csi:0", "csi:1"]


def test_one_camera_needs_no_name() -> None:
    settings = ["EDGED_SOURCE=/dev/video0"]
    assert list(proposal.lines(settings, [])) == settings
    assert list(proposal.lines([], [])) == []
    two = proposal.lines([*settings, "EDGED_SOURCE=csi:0"], [])
    assert next(two) == "EDGED_CAMERAS=usb1,csi1"
