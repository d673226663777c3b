"""Several cameras in one flat file.

A setting with a camera's name in it is that camera's, without it everybody's.

Pure: names and values in, values of each camera and what is wrong with them out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

from edged.errors import ConfigError, nearest
from edged.settings.field import PREFIX
from edged.settings.secrets import shown
from edged.settings.syntax import parts
from edged.settings.tables import declarations, exists

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CAMERAS = f"{PREFIX}CAMERAS"
_CAMERA = f"{PREFIX}CAMERA"
_OUTPUT = f"{PREFIX}OUTPUT"
_NODE_SECTIONS = frozenset({"MQTT", "Live view", "Service"})
_OF_A_CAMERA = frozenset({f"{PREFIX}MQTT_EMPTY", f"{PREFIX}SNAPSHOT_INTERVAL"})
"""Settings of the node's sections that a camera may have for itself."""
_OF_THE_NODE = frozenset({CAMERAS, f"{PREFIX}OUTPUT_MAX_GB", f"{PREFIX}DISK_FREE_GB"})
"""Settings of other sections that only the node can have: there is one disk."""
SUGGESTIONS = 50
"""Wrong names for which a right one is sought: that takes a while for each."""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")


@dataclass(frozen=True, slots=True)
class CameraValues:
    """What is set for one camera."""

    camera: str
    values: Mapping[str, str]
    """By the name of the setting as it is for a single camera."""
    written: Mapping[str, str]
    """Name of the setting as it stands in the file, where that is another."""


def key(camera: str) -> str:
    """How a camera is called in the names of its settings: ``front-door`` is ``FRONT_DOOR``."""
    return camera.upper().replace("-", "_")


def of_camera(name: str, camera: str) -> str:
    """How the setting ``name`` of one camera is called."""
    return f"{PREFIX}{key(camera)}_{name.removeprefix(PREFIX)}"


def checked(value: str) -> list[str]:
    """The cameras that a value of EDGED_CAMERAS names.

    Raises:
        ConfigError: one of them cannot be a camera's name; tells all that are wrong.
    """
    cameras = list(parts(value))
    if problems := _wrong_names(cameras):
        raise ConfigError("; ".join(text for _, text in problems))
    if not cameras:
        raise ConfigError(f"{CAMERAS}={value!r} names no camera", hint="Write names like front,back")
    return cameras


def of_the_node() -> frozenset[str]:
    """Settings that hold for the daemon and cannot differ between cameras."""
    return _OF_THE_NODE | {
        setting.name
        for setting in declarations()
        if setting.section in _NODE_SECTIONS and setting.name not in _OF_A_CAMERA
    }


def split(values: Mapping[str, str]) -> tuple[list[CameraValues], list[str]]:
    """The values of each camera that EDGED_CAMERAS names.

    Args:
        values: all settings, by name.

    Returns:
        The cameras in the order of EDGED_CAMERAS, and a sentence for everything that is wrong. Cameras whose
        names do not do are left out, with their settings.
    """
    named = parts(values[CAMERAS])
    wrong = _wrong_names(named)
    problems = [text for _, text in wrong]
    if not named:
        problems.append(f"{CAMERAS}={values[CAMERAS]!r} names no camera")
    if values.get(_CAMERA):
        problems.append(f"{_CAMERA} is the name of a single camera: leave it out beside {CAMERAS}")
    nameless = {camera for camera, _ in wrong}
    cameras = [camera for camera in named if camera not in nameless]
    theirs = tuple(f"{PREFIX}{re.sub('[^A-Z0-9]+', '_', camera.upper())}_" for camera in nameless)
    common: dict[str, str] = {}
    own: dict[str, dict[str, str]] = {camera: {} for camera in cameras}
    written: dict[str, dict[str, str]] = {camera: {} for camera in cameras}
    for name, value in values.items():
        if exists(name):
            common[name] = value
            continue
        readings = [(camera, rest) for camera, rest in _readings(name, cameras) if exists(rest)]
        if not readings and name.startswith(theirs):
            continue
        sought = cameras if len(problems) < SUGGESTIONS else None
        if problem := _wrong_setting(name, value, sought, readings):
            problems.append(problem)
            continue
        camera, rest = readings[0]
        own[camera][rest] = value
        written[camera][rest] = name
    every = [
        CameraValues(
            camera,
            {**common, **_own_folder(common, camera), **own[camera], _CAMERA: camera},
            written[camera],
        )
        for camera in cameras
    ]
    problems += _shared_output(every)
    return every, problems


def _wrong_names(cameras: Sequence[str]) -> list[tuple[str, str]]:
    """Names that do not do, and why."""
    known = [setting.name for setting in declarations()]
    wrong: list[tuple[str, str]] = []
    taken: dict[str, str] = {}
    for camera in cameras:
        name = key(camera)
        if _NAME.fullmatch(camera) is None:
            rule = "a camera's name begins with a letter and has letters, digits, - and _, 32 at the most"
            wrong.append((camera, f"{CAMERAS} names {camera!r}: {rule}"))
            continue
        begun = [one for one in known if f"{one}_".startswith(f"{PREFIX}{name}_")]
        if begun:
            why = (
                f"and {begun[0]} begins like that: it could be read two ways; "
                f"call the camera {camera}1 or cam_{camera}"
            )
            wrong.append((camera, f"{CAMERAS} names {camera!r}, {why}"))
        if name in taken:
            twice = (
                "twice" if taken[name] == camera else f"and {taken[name]!r}, which settings cannot tell apart"
            )
            wrong.append((camera, f"{CAMERAS} names {camera!r} {twice}"))
        taken[name] = camera
    return wrong


def _readings(name: str, cameras: Sequence[str]) -> list[tuple[str, str]]:
    """Which setting of which camera a name may mean."""
    return [
        (camera, PREFIX + name.removeprefix(start))
        for camera in cameras
        if name.startswith(start := f"{PREFIX}{key(camera)}_")
    ]


def _wrong_setting(
    name: str, value: str, cameras: Sequence[str] | None, readings: list[tuple[str, str]]
) -> str:
    """What is wrong with a setting that is not everybody's; empty if nothing is.

    What was meant is sought among the settings of ``cameras``; None: it is not.
    """
    said = f"{name}={shown(value, name)}"
    if not readings:
        return f"{said}: there is no such setting{'' if cameras is None else suggestion(name, cameras)}"
    if len(readings) > 1:
        meant = " or ".join(f"{rest} of the camera {camera!r}" for camera, rest in readings)
        return f"{said} may be {meant}: call one of these cameras differently"
    camera, rest = readings[0]
    if rest == _CAMERA:
        return f"{said}: the camera {camera!r} has its name from {CAMERAS}"
    if rest in of_the_node():
        return f"{said}: {rest} holds for all cameras and cannot be one's; write {rest}"
    return ""


def suggestion(name: str, cameras: Sequence[str] = ()) -> str:
    """What may have been meant by a name that there is not, as the end of a sentence."""
    known = [setting.name for setting in declarations()]
    written = re.sub("[^A-Z0-9]+", "_", name.upper())
    if exists(written) or any(exists(rest) for _, rest in _readings(written, cameras)):
        return f"; did you mean {written}? Names of settings have capitals, digits and _"
    shared = of_the_node()
    every = known + [of_camera(one, camera) for camera in cameras for one in known if one not in shared]
    begun = sorted(one for one in every if one.startswith(name.upper()))
    bare = {one.removeprefix(PREFIX): one for one in every}
    near = begun[0] if begun else bare.get(nearest(name.upper().removeprefix(PREFIX), bare), "")
    return f"; did you mean {near}?" if near else "; 'edged env' lists all of them"


def _shared_output(every: Sequence[CameraValues]) -> Iterator[str]:
    """Neither a file nor a folder can hold the video of several cameras."""
    owners: dict[PurePath, str] = {}
    for one in every:
        given = one.values.get(_OUTPUT)
        if not given:
            continue
        target = PurePath(given)
        if target in owners:
            kind = "file" if target.suffix else "folder"
            yield (
                f"{_OUTPUT}={given!r} is one {kind} for the cameras {owners[target]!r} and {one.camera!r}: "
                f"name a folder in {_OUTPUT}, which gets a folder a camera, or set another "
                f"{of_camera(_OUTPUT, one.camera)}"
            )
        owners[target] = one.camera


def _own_folder(common: Mapping[str, str], camera: str) -> dict[str, str]:
    """The folder of a camera in a folder for all."""
    target = common.get(_OUTPUT, "")
    return {_OUTPUT: str(PurePath(target) / camera)} if target and not PurePath(target).suffix else {}
