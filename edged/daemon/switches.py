"""What was switched from afar over what the settings say: a pause, recording, the threshold, the model.

A switched value holds until the setting itself is changed; where EDGED_SPOOL names a folder it outlives a
restart.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from edged.durable.owner import Owner
from edged.durable.spool_folder import keep, read_kept, spool_folder
from edged.errors import ConfigError
from edged.records import Controls

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edged.settings.declared import Settings

T = TypeVar("T")

log = structlog.get_logger()

_ON_OFF = {"on": True, "off": False}


@dataclass(frozen=True, slots=True)
class _Switched:
    """Each value with that of the setting it stands for; a pause has none."""

    paused: bool = False
    recording: tuple[bool, str] | None = None
    threshold: tuple[float, str] | None = None
    model: tuple[str, str] | None = None

    def before(self, other: _Switched) -> _Switched:
        """What is switched here, and from another what is not."""
        return _Switched(*(getattr(self, one.name) or getattr(other, one.name) for one in fields(self)))


class Switches:
    """The switches of one camera. Thread-safe.

    Args:
        settings: of the camera, as they are written.
        owner: this daemon; where another one that runs has its node, nothing outlives a restart.
    """

    def __init__(self, settings: Settings, owner: Owner | None = None) -> None:
        self._owner = owner or Owner()
        self._lock = threading.Lock()
        self._own = self._next = settings
        """What is in force, and what may follow."""
        self._models = _models(settings)
        self._file = self._file_of(settings)
        self._wanted = self._tried = self._kept = self._left(settings)

    @property
    def written(self) -> Settings:
        """The settings of the camera as they are written."""
        return self._own

    @property
    def paused(self) -> bool:
        """Whether it is told to look at nothing."""
        return self._wanted.paused

    def pause(self, paused: bool) -> None:  # noqa: FBT001  # a value
        """Remember whether it is told to look at nothing."""
        with self._lock:
            self._wanted = replace(self._wanted, paused=paused)
            self._kept = replace(self._kept, paused=paused)
            self._write()

    def put(self, name: str, value: str) -> str:
        """Switch ``recording``, ``threshold`` or ``model``; in force with the next :meth:`over`.

        Raises:
            ConfigError: there is no such switch, or no such value.
        """
        with self._lock:
            own = self._own
            if name == "recording":
                self._wanted = replace(self._wanted, recording=(_recording(value, own), str(own.output)))
            elif name == "threshold":
                number = _threshold(value)
                self._wanted = replace(self._wanted, threshold=(number, str(own.score_threshold)))
            else:
                self._wanted = replace(self._wanted, model=(self._model(value), str(own.model)))
        return f"{name} is being set to {value}"

    def over(self, settings: Settings) -> Settings:
        """The settings with what was switched, as far as that stands for the same values and still can be."""
        with self._lock:
            self._next = settings
            self._recall()
            self._tried = wanted = self._wanted
        changes: dict[str, object] = {}
        if _in_force(wanted.recording, settings.output) is False:
            changes["output"] = None
        if (threshold := _in_force(wanted.threshold, settings.score_threshold)) is not None:
            changes["score_threshold"] = threshold
        model = _in_force(wanted.model, settings.model)
        if model is not None and model in _models(settings):
            changes["model"] = settings.model.with_name(f"{model}.tflite")
        return settings.model_copy(update=changes) if changes else settings

    def keep(self) -> None:
        """What the last :meth:`over` gave is in force."""
        with self._lock:
            self._recall()  # of a camera that has failed there was no over()
            self._own, self._models = self._next, _models(self._next)
            kept, file = self._kept, self._file
            self._kept = replace(self._tried, paused=self._wanted.paused)
            self._file = self._file_of(self._own)
            if (self._kept, self._file) != (kept, file):
                self._write()
            if file and self._file and file != self._file:
                with suppress(OSError):
                    file.unlink(missing_ok=True)  # who takes the former name has switched nothing

    def take_back(self) -> None:
        """It could not be put in force: what was before holds."""
        with self._lock:
            self._next = self._own
            if self._wanted == replace(self._tried, paused=self._wanted.paused):
                self._wanted = self._kept

    def forget(self) -> None:
        """What an earlier start has left cannot be put in force."""
        with self._lock:
            log.warning("switches_forgotten", switched=asdict(self._kept))
            self._wanted = self._tried = self._kept = _Switched(paused=self._kept.paused)
            self._write()

    def controls(self) -> Controls:
        """What can be switched, and how it is set now."""
        with self._lock:
            own, kept, models = self._own, self._kept, self._models
        records = own.output is not None and not _is_file(own.output)
        threshold = _in_force(kept.threshold, own.score_threshold)
        return Controls(
            recording=_in_force(kept.recording, own.output) is not False if records else None,
            threshold=own.score_threshold if threshold is None else threshold,
            models=models,
        )

    def _model(self, value: str) -> str:
        if value not in self._models:
            raise ConfigError(
                f"there is no model {value[:80]!r} beside {self._own.model.name}",
                hint=f"There are {', '.join(self._models)}",
            )
        return value

    def _file_of(self, settings: Settings) -> Path | None:
        """Where they are kept; it goes with the names of node and camera, which a reload may change."""
        folder = spool_folder(settings) if self._owner.has_node else None
        return folder.switched(settings.node, settings.camera) if folder is not None else None

    def _left(self, settings: Settings) -> _Switched:
        """What is kept of the camera, whoever has done it."""
        file, nothing = self._file_of(settings), _Switched()
        return read_kept(file, _switched, nothing) if file is not None else nothing

    def _recall(self) -> None:
        """Follow what a daemon has left that had the node so far; only with the lock held."""
        if self._file is None and None not in {self._own.spool, self._own.mqtt_url}:
            left = self._left(self._next)
            self._wanted, self._tried = self._wanted.before(left), self._tried.before(left)
            self._kept = replace(self._kept, paused=self._wanted.paused)

    def _write(self) -> None:
        """Only with the lock held."""
        if self._file is not None:
            keep(self._file, asdict(self._kept))


def _switched(content: Any) -> _Switched:
    """What a file says."""
    kinds: dict[str, Callable[[Any], Any]] = {"recording": bool, "threshold": _threshold, "model": str}
    pairs = {name: (kind, content.get(name)) for name, kind in kinds.items()}
    return _Switched(
        paused=content.get("paused") is True,
        **{name: (kind(pair[0]), str(pair[1])) for name, (kind, pair) in pairs.items() if pair},
    )


def _in_force(pair: tuple[T, str] | None, setting: object) -> T | None:
    """A switched value, while the setting it stands for is what it was."""
    return pair[0] if pair is not None and pair[1] == str(setting) else None


def on_or_off(value: str) -> bool:
    """The value of a switch.

    Raises:
        ConfigError: it is neither.
    """
    found = _ON_OFF.get(value.strip().lower())
    if found is None:
        raise ConfigError(f"{value[:40]!r} is neither ON nor OFF")
    return found


def _is_file(output: Path) -> bool:
    from edged.video.segments import FILES  # noqa: PLC0415  # with FFmpeg, which most outputs need and no daemon without one

    return output.suffix.lower() in FILES


def _recording(value: str, settings: Settings) -> bool:
    if settings.output is None:
        raise ConfigError("there is nothing to switch: EDGED_OUTPUT is not set", hint="Set it to a folder")
    if _is_file(settings.output):
        raise ConfigError(
            "a recording into one file cannot be switched: it would be overwritten",
            hint="Set EDGED_OUTPUT to a folder",
        )
    return on_or_off(value)


def _threshold(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1:
        raise ConfigError(f"{value[:40]!r} is no threshold: a number above 0 and up to 1 is")
    return number


def _models(settings: Settings) -> tuple[str, ...]:
    """The models in the folder of the one that is set."""
    folder = settings.model.parent
    return tuple(sorted(path.stem for path in folder.glob("*.tflite") if not path.name.startswith(".")))
