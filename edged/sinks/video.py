"""Video: annotated in one file or in segments, or the camera's own packets in segments."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from edged.contract import payloads
from edged.errors import ConfigError, SinkError
from edged.imaging.jpeg import encoded
from edged.settings import sandbox
from edged.sinks import DISK_FAULTS
from edged.video.annotating import Annotator
from edged.video.copying import Copier, Note
from edged.video.encoder import HARDWARE, SOFTWARE, EncoderError
from edged.video.recorder import Events, FileRecorder, FolderRecorder
from edged.video.retention import Retention
from edged.video.segments import FILES, NOTHING
from edged.video.writer import BehindError, Writer

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edged.metrics import Meter
    from edged.records import Event, Report, Result, State
    from edged.settings.declared import Settings
    from edged.sinks import Context
    from edged.video.recorder import Recorder

_GIGABYTE = 10**9
_QUALITY = 85
_ALL = Events(0.0, 0.0)

log = structlog.get_logger()


class VideoSink:
    """Has results drawn and encoded, or the camera's packets kept, and a thread of its own store them.

    Nobody waits for the disk. While it is full, read-only or gone every result is refused, and none is drawn
    or encoded. What was in memory when that began, up to a fragment, is lost although it was taken.

    Args:
        recorder: what becomes of encoded pictures.
        codecs: as of :class:`~edged.video.annotating.Annotator`.
        meter: gets the latencies of drawing and encoding.
        boot_id: identity of this run, for the lines of detections.
        camera: its name, for the same.
        stop_timeout_s: seconds that :meth:`close` may take.
        forgiving: whether a disk that is full, read-only or failing may be opened: that is told, and it is
            tried again, as if it had happened later.
        events: what is worth recording.
        copies: whether the camera's own packets are recorded, which come to :attr:`copier`.
    """

    name = "video"
    waiting = False

    def __init__(
        self,
        recorder: Recorder,
        *,
        meter: Meter,
        boot_id: str,
        camera: str = "camera",
        codecs: Sequence[str] = (SOFTWARE,),
        stop_timeout_s: float = 10.0,
        forgiving: bool = False,
        events: Events = _ALL,
        copies: bool = False,
    ) -> None:
        self._recorder = recorder
        self._boot_id = boot_id
        self._camera = camera
        self._stop_timeout_s = stop_timeout_s
        self._forgiving = forgiving
        self._events = events
        self._pictures: dict[str, bytes] = {}
        """New ones of events, until the next result takes them along."""
        self._writer = Writer(recorder)
        self.copier = Copier(self._writer) if copies else None
        self._annotator = Annotator(self._writer, codecs=codecs, one_size=recorder.one_size, meter=meter)
        self._seq = 0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> VideoSink:
        """As ``EDGED_OUTPUT`` and what belongs to it say.

        Raises:
            ConfigError: events or packets are to be recorded, and the output is no folder.
            SinkError: the output is neither a folder nor a file of video.
        """
        return cls(
            recorder(settings),
            codecs=(HARDWARE, SOFTWARE) if settings.encoder == "auto" else (settings.encoder,),
            meter=context.meter,
            boot_id=context.boot_id,
            camera=settings.camera,
            stop_timeout_s=settings.stop_timeout,
            forgiving=context.starting,
            events=_events(settings),
            copies=settings.record == "copy",
        )

    def open(self) -> None:
        """Find out whether there can be files, without touching what may be there."""
        fault: OSError | None = None
        try:
            self._recorder.open()
        except OSError as error:
            if not (self._forgiving and error.errno in DISK_FAULTS):
                raise self._error(error.strerror or str(error)) from error
            fault = error
        self._writer.start(fault)

    def send(self, result: Result) -> None:
        """Draw and encode one frame, or keep what was found in it with the camera's packets."""
        if problem := self._writer.problem:
            self._annotator.skip()
            raise self._error(problem)
        try:
            if self.copier is not None:
                self.copier.note(self._note(result), result.frame)
            else:
                self._annotator.take(result, self._note(result))
        except EncoderError as error:
            raise SinkError(str(error), hint="Set EDGED_ENCODER to libx264, or leave it at auto") from error
        except BehindError:
            raise self._error("the disk does not keep up with the video") from None

    def tell(self, events: Sequence[Event]) -> None:
        """Keep the best pictures of objects beside the video."""
        if self._recorder.pictures and not self._writer.problem:
            for event in events:
                if event.crop is not None:
                    self._pictures[event.event_id] = encoded(event.crop, _QUALITY)

    @property
    def problem(self) -> str:
        """Why packets of the camera are left out; what is wrong with results is told by :meth:`send`."""
        if self.copier is None or not (problem := self.copier.problem):
            return ""
        return problem if self._writer.problem == "" else str(self._error(self._writer.problem))

    @property
    def listener(self) -> Copier | None:
        """Records the camera's packets, if they are."""
        return self.copier

    def report(self, report: Report) -> None:
        """Nothing of it is recorded."""

    def state(self, state: State) -> None:
        """Nothing of it is recorded."""

    def account(self) -> Mapping[str, int]:
        """Packets recorded and left out, where they are the camera's own."""
        if self.copier is None:
            return {}
        return {"packets": self.copier.copied, "packets_lost": self.copier.dropped}

    def close(self) -> None:
        """Store what the encoder and the disk's thread still hold, and the end of the file.

        Raises:
            SinkError: the disk did not take it.
        """
        try:
            self._annotator.finish()
        except (EncoderError, BehindError) as error:
            log.warning("video_cut_short", error=str(error))
        last = self.copier.close() if self.copier is not None else NOTHING
        # An event that the stop has ended may have told its best picture after the last result.
        last = replace(last, pictures=(*last.pictures, *self._pictures.items()))
        # Less than the daemon grants, so that it is told here what does not end.
        if not self._writer.close(0.7 * self._stop_timeout_s, last):
            raise self._error("the disk does not answer")
        if self._writer.problem:
            raise self._error(self._writer.problem)

    def _note(self, result: Result) -> Note:
        frame = result.frame
        payload = payloads.detections(
            result, camera=self._camera, boot_id=self._boot_id, seq=self._seq, now=time.time()
        )
        line = payloads.encode({**payload, "pts": round(frame.pts, 6)}) + b"\n"
        self._seq += 1
        pictures, self._pictures = tuple(self._pictures.items()), {}
        return Note(frame.ts_capture, line, self._events.seen_in(result), pictures)

    def _error(self, reason: str) -> SinkError:
        return _refused(self._recorder.target, reason)


def recorder(settings: Settings) -> Recorder:
    """What ``EDGED_OUTPUT`` asks for: a folder if there is one, or if the name has no suffix.

    Raises:
        ConfigError: events or packets are to be recorded, and the output is no folder.
        SinkError: the output is neither a folder nor a file of video.
    """
    assert settings.output is not None  # noqa: S101  # the registry asks for this sink only if it is set
    target: Path = settings.output
    try:
        is_folder = target.is_dir() or not target.suffix
    except OSError as error:
        if error.errno not in DISK_FAULTS:  # below a folder that we may not look into
            raise _refused(target, error.strerror or str(error)) from error
        is_folder = not target.suffix
    if is_folder:
        # What all segments may take is divided, so that no camera takes what another needs.
        budget = (
            None if settings.output_max_gb is None else settings.output_max_gb / max(1, len(settings.cameras))
        )
        retention = Retention(
            target, budget=None if budget is None else int(budget * _GIGABYTE), reserve=_reserve(settings)
        )
        events = _events(settings) if settings.events else None
        if events is not None and settings.record == "copy":
            # When the model has seen something, that was a while ago.
            events = replace(events, pre_roll_s=events.pre_roll_s + settings.max_age)
        phase = 0.0 if events is not None else _phase(settings)
        return FolderRecorder(target, retention, length_s=settings.segment, events=events, phase=phase)
    if target.suffix.lower() not in FILES:
        raise SinkError(
            f"the output {str(target)!r} is no folder and does not end in .mp4",
            hint="Set it to a file such as out.mp4, or to a folder; one with a dot in its name must be there",
        )
    if settings.record == "copy":
        raise ConfigError(
            f"EDGED_RECORD=copy records into a folder, and EDGED_OUTPUT={str(target)!r} is a file",
            hint="Set EDGED_OUTPUT to a folder",
        )
    if settings.events:
        raise ConfigError(
            f"EDGED_EVENTS records into a folder, and EDGED_OUTPUT={str(target)!r} is a file",
            hint="Set EDGED_OUTPUT to a folder",
        )
    return FileRecorder(target)


def _reserve(settings: Settings) -> int:
    return int(settings.disk_free_gb * _GIGABYTE)


def shortage(settings: Settings) -> str:
    """Why nothing would be recorded into the folder that is there, for want of room; empty if there is some.

    Raises:
        OSError: the folder cannot be read.
    """
    folder = settings.output
    if folder is None or not folder.is_dir():
        return ""
    missing = Retention(folder, budget=None, reserve=_reserve(settings)).missing()
    if missing <= 0:
        return ""
    return (
        f"nothing is recorded until {missing / _GIGABYTE:.1f} GB more are free on the disk of "
        f"{str(folder)!r}: EDGED_DISK_FREE_GB={settings.disk_free_gb:g} stay free; "
        "delete something there, or lower it"
    )


def _phase(settings: Settings) -> float:
    """Where among all cameras this one is, 0..1."""
    several = settings.cameras
    return several.index(settings.camera) / len(several) if settings.camera in several else 0.0


def _events(settings: Settings) -> Events:
    """What is worth recording.

    Raises:
        ConfigError: a zone is named that there is not.
    """
    zones = {zone.name for zone in settings.zone} if settings.track else set()
    for zone in settings.event_zones:
        if zone not in zones:
            raise ConfigError(
                f"EDGED_EVENT_ZONES names {zone!r}, and there is no such zone",
                hint=f"Set EDGED_ZONE_{zone.upper()}" if settings.track else "Set EDGED_TRACK to true",
            )
    labels, wanted = frozenset(settings.event_labels), frozenset(settings.event_zones)
    return Events(settings.pre_roll, settings.post_roll, labels, wanted)


def _refused(target: Path, reason: str) -> SinkError:
    return SinkError(
        f"the output {str(target)!r} cannot be written: {reason}",
        hint=sandbox.explained(
            target,
            "Set EDGED_OUTPUT to a place where the user of edged may write (services: in /var/lib/edged) "
            "and the disk has room",
            writing=True,
        ),
    )
