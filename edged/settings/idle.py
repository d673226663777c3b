"""What is set and has no effect: because another setting is not, or because of how another is."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import TYPE_CHECKING

from edged.settings.broker import parse_url
from edged.settings.declared import Settings
from edged.settings.device import CPU
from edged.settings.field import meaning_of, variable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_OFF = (None, False, "off", ())
_CAMERAS = ("/dev/video", "/dev/v4l/", "csi:")
_MADE_UP = "synthetic:"
_STREAMS = ("rtsp://", "rtsps://", "http://", "https://", "rtmp://", "rtmps://", "tcp://", "udp://")


def notes(settings: Settings, cameras: Sequence[Settings] = ()) -> Iterator[str]:
    """A sentence for all that has no effect for one reason.

    Args:
        settings: of one camera.
        cameras: of all of them: what does something for another one is there for that one.
    """
    waiting: dict[str, list[str]] = {}
    for name in sorted(name for name in Settings.model_fields if _changed(settings, name)):
        alike = [one for one in cameras if getattr(one, name) == getattr(settings, name)]
        if (reason := _idle(settings, name)) and all(_idle(one, name) for one in alike):
            waiting.setdefault(reason, []).append(variable(name))
    for reason, names in sorted(waiting.items()):
        yield f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} nothing while {reason}"
    for name, label in _left_out(settings):
        alike = [one for one in cameras if getattr(one, _field(name)) == getattr(settings, _field(name))]
        if all((name, label) in _left_out(one) for one in alike):
            yield f"{variable(name)} names {label!r}, which EDGED_CLASSES leaves out"
    if settings.mqtt_url and settings.mqtt_password_file and parse_url(settings.mqtt_url).password:
        yield "the password in EDGED_MQTT_URL is not used: that in EDGED_MQTT_PASSWORD_FILE is"


def by_camera(cameras: Sequence[Settings]) -> Iterator[tuple[str, str]]:
    """The same for all of them: a camera and what has no effect for it; empty where that is so for all."""
    every = [(settings.camera, list(notes(settings, cameras))) for settings in cameras]
    shared = [note for note in every[0][1] if all(note in told for _, told in every)]
    yield from (("", note) for note in shared)
    yield from ((camera, note) for camera, told in every for note in told if note not in shared)


def _changed(settings: Settings, name: str) -> bool:
    field = Settings.model_fields[name]
    return name in settings.model_fields_set and getattr(settings, name) != field.default


def _idle(settings: Settings, name: str) -> str:
    """Why it has no effect; empty if it has."""
    return _missing(settings, name) or _prevented(settings, name)


def _missing(settings: Settings, name: str) -> str:
    """That a setting which it needs is off; empty if none is."""
    for needed in meaning_of(Settings.model_fields[name]).needs:
        either = needed.split("|")
        if any(getattr(settings, one) not in _OFF for one in either):
            continue
        if len(either) > 1:
            return f"neither {' nor '.join(map(variable, either))} is set"
        value = getattr(settings, needed)
        return f"{variable(needed)} is {'not set' if value in {None, ()} else str(value).lower()}"
    return ""


def _prevented(settings: Settings, name: str) -> str:
    """How another setting keeps it from having an effect; empty if none does."""
    reason = next((reason for names, holds, reason in _REASONS if name in names and holds(settings)), "")
    return reason.format(source=variable("detect_source" if settings.detect_source else "source"))


def _left_out(settings: Settings) -> list[tuple[str, str]]:
    """Settings, and labels that they name and that EDGED_CLASSES leaves out."""
    if not settings.classes:
        return []
    wanted = {
        "scores": [label for label, _ in settings.scores],
        "areas": [label for label, _, _ in settings.areas],
        "event_labels": settings.event_labels,
        "classify": [label for label, _ in settings.classify],
    }
    areas = {"zone": settings.zone, "line": settings.line, "mask": settings.mask}
    wanted |= {f"{kind}_{one.name}": sorted(one.labels) for kind, every in areas.items() for one in every}
    return [(name, one) for name, labels in wanted.items() for one in labels if one not in settings.classes]


def _field(name: str) -> str:
    """The field that has a setting: of ``zone_porch`` it is ``zone``."""
    return name if name in Settings.model_fields else name.partition("_")[0]


def _looked_at(settings: Settings, *begins: str) -> bool:
    """Whether frames come from what begins so."""
    return (settings.detect_source or settings.source).startswith(begins)


def _is_piped(settings: Settings) -> bool:
    source = settings.detect_source or settings.source
    mode = _mode(source)
    return source == "/dev/stdin" or stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _speaks_rtsp(settings: Settings) -> bool:
    sources = settings.source, settings.detect_source or ""
    return any(source.startswith(("rtsp://", "rtsps://")) for source in sources)


def _waits(settings: Settings) -> bool:
    if settings.policy != "auto":
        return settings.policy == "all"
    return not _looked_at(settings, *_CAMERAS, *_STREAMS, _MADE_UP)


def _is_one_file(settings: Settings) -> bool:
    output = settings.output
    # The name of a folder that is there may have a dot in it, too.
    return output is not None and bool(output.suffix) and not stat.S_ISDIR(_mode(output))


def _mode(path: str | Path) -> int:
    """What is there, as stat(2) has it; 0 for nothing, or what may not be looked at."""
    try:
        return Path(path).expanduser().stat().st_mode
    except (OSError, ValueError):
        return 0


def _is_plain(settings: Settings) -> bool:
    return settings.mqtt_url is not None and not parse_url(settings.mqtt_url).tls


def _is_nameless(settings: Settings) -> bool:
    return settings.mqtt_url is not None and parse_url(settings.mqtt_url).username is None


_REASONS: tuple[tuple[tuple[str, ...], Callable[[Settings], bool], str], ...] = (
    (
        ("camera_size", "camera_fps", "camera_format"),
        lambda settings: not _looked_at(settings, *_CAMERAS),
        "{source} is no /dev/video or csi: camera",
    ),
    (("stream_transport",), lambda settings: not _speaks_rtsp(settings), "EDGED_SOURCE is not rtsp://"),
    (
        ("decoder",),
        lambda settings: _looked_at(settings, _MADE_UP, *_CAMERAS),
        "{source} is neither a file nor a stream",
    ),
    (("decoder",), _is_piped, "{source} is a pipe, which software decodes"),
    (
        ("loop",),
        lambda settings: _looked_at(settings, _MADE_UP, *_CAMERAS, "rtsp", "rtmp", "tcp://", "udp://"),
        "{source} is no file",
    ),
    (
        ("read_timeout",),
        lambda settings: not _looked_at(settings, *_CAMERAS, *_STREAMS),
        "{source} is neither a camera nor a stream",
    ),
    (("max_age",), _waits, "every frame of {source} is kept (EDGED_POLICY)"),
    (
        ("track_score",),
        lambda settings: settings.track_score >= settings.score_threshold,
        "it is not below EDGED_SCORE_THRESHOLD",
    ),
    (
        ("edgetpu_library", "edgetpu_options", "device_timeout", "invoke_timeout"),
        lambda settings: settings.device == (CPU,),
        "EDGED_DEVICE is cpu",
    ),
    (("encoder",), lambda settings: settings.record == "copy", "EDGED_RECORD is copy"),
    (("segment", "output_max_gb", "disk_free_gb"), _is_one_file, "EDGED_OUTPUT is one file"),
    (
        ("ha_prefix",),
        lambda settings: not settings.ha_discovery,
        "EDGED_HA_DISCOVERY is false, but for 'edged forget'",
    ),
    (("mqtt_password_file",), _is_nameless, "EDGED_MQTT_URL names no user"),
    (("mqtt_ca", "mqtt_cert", "mqtt_key"), _is_plain, "EDGED_MQTT_URL is mqtt:// and not mqtts://"),
)
"""Settings, when they have no effect, and how that is said: ``{source}`` is what frames come from."""
