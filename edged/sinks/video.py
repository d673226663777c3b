"""Annotated video: one file, or segments in a folder that stays within its budget."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import structlog

from edged.contract import payloads
from edged.errors import ConfigError, SinkError
from edged.imaging.jpeg import encoded
from edged.pixels import Planes
from edged.sinks import DISK_FAULTS
from edged.video.encoder import HARDWARE, SOFTWARE, Encoder, EncoderError
from edged.video.recorder import Events, FileRecorder, FolderRecorder
from edged.video.retention import Retention
from edged.video.segments import FILES, Sample
from edged.video.writer import BehindError, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from fractions import Fraction
    from pathlib import Path

    from edged.metrics import Meter
    from edged.pixels import Pixels
    from edged.records import Event, Result
    from edged.settings.declared import Settings
    from edged.sinks import Context
    from edged.video.encoder import Packet
    from edged.video.recorder import Recorder

_GIGABYTE = 10**9
_QUALITY = 85
_ALL = Events(0.0, 0.0)
_PATIENCE_S = 2.0
"""How long a source that waits is held up by a slow disk, before video is left out."""

log = structlog.get_logger()


class VideoSink:
    """Draws and encodes every result, and has a thread of its own store it: nobody waits for the disk.

    While the disk is full, read-only or gone every result is refused, and none is drawn or encoded. What was
    in memory when that began, up to a fragment, is lost although it was taken.

    Args:
        recorder: what becomes of encoded pictures.
        codecs: encoders, best first; one that cannot be opened, or fails, makes way for the next.
        meter: gets the latencies of ``annotate`` and ``encode``.
        boot_id: identity of this run, for the lines of detections.
        camera: its name, for the same.
        stop_timeout: seconds that :meth:`close` may take.
        forgiving: whether a disk that is full, read-only or failing may be opened: that is told, and it is
            tried again, as if it had happened later.
        events: what is worth recording.
    """

    name = "video"

    def __init__(
        self,
        recorder: Recorder,
        *,
        meter: Meter,
        boot_id: str,
        camera: str = "camera",
        codecs: Sequence[str] = (SOFTWARE,),
        stop_timeout: float = 10.0,
        forgiving: bool = False,
        events: Events = _ALL,
    ) -> None:
        self._recorder = recorder
        self._codecs = list(codecs)
        self._meter = meter
        self._boot_id = boot_id
        self._camera = camera
        self._stop_timeout = stop_timeout
        self._forgiving = forgiving
        self._events = events
        self._pictures: dict[str, bytes] = {}
        """New ones of events, until the next sample takes them along."""
        self._writer = Writer(recorder)
        self._encoder: Encoder | None = None
        self._form: tuple[tuple[int, ...], Fraction, int | None] | None = None
        """Of the pictures that the encoder is for."""
        self._fresh = True
        self._anew = True
        self._delayed: deque[_Delayed] = deque()
        self._seq = 0

    @classmethod
    def create(cls, settings: Settings, context: Context) -> VideoSink:
        """As ``EDGED_OUTPUT`` and what belongs to it say.

        Raises:
            ConfigError: events are asked for, and the output is no folder.
            SinkError: the output is neither a folder nor a file of video.
        """
        return cls(
            recorder(settings),
            codecs=(HARDWARE, SOFTWARE) if settings.encoder == "auto" else (settings.encoder,),
            meter=context.meter,
            boot_id=context.boot_id,
            camera=settings.camera,
            stop_timeout=settings.stop_timeout,
            forgiving=context.starting,
            events=_events(settings),
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
        """Draw and encode one frame."""
        if problem := self._writer.problem:
            self._anew = True
            raise self._error(problem)
        started = time.perf_counter()
        picture = result.picture()
        drawn = time.perf_counter()
        try:
            self._encode(result, picture)
        except EncoderError as error:
            self._drop_encoder(error)
            raise SinkError(str(error), hint="Set EDGED_ENCODER to libx264, or leave it at auto") from error
        except BehindError:
            self._anew = True
            raise self._error("the disk does not keep up with the video") from None
        self._meter.observe("annotate", 1e3 * (drawn - started))
        self._meter.observe("encode", 1e3 * (time.perf_counter() - drawn))

    def tell(self, events: Sequence[Event]) -> None:
        """Keep the best pictures of objects beside the video."""
        if self._recorder.pictures and not self._writer.problem:
            for event in events:
                if event.crop is not None:
                    self._pictures[event.event_id] = encoded(event.crop, _QUALITY)

    def close(self) -> None:
        """Store what the encoder and the disk's thread still hold, and the end of the file.

        Raises:
            SinkError: the disk did not take it.
        """
        try:
            self._finish_encoder()
        except (EncoderError, BehindError) as error:
            log.warning("video_cut_short", error=str(error))
        # Less than the daemon grants, so that it is told here what does not end.
        if not self._writer.close(0.7 * self._stop_timeout):
            raise self._error("the disk does not answer")
        if self._writer.problem:
            raise self._error(self._writer.problem)

    def _encode(self, result: Result, picture: Pixels) -> None:
        matrix = picture.matrix if isinstance(picture, Planes) else None
        form = picture.shape, result.frame.pixel, matrix
        if self._encoder is None or (form != self._form and not self._recorder.one_size):
            self._finish_encoder()
            self._encoder = self._open_encoder(*form)
            self._form = form
            self._fresh = True
        frame = result.frame
        payload = payloads.detections(
            result, camera=self._camera, boot_id=self._boot_id, seq=self._seq, now=time.time()
        )
        line = payloads.encode({**payload, "pts": round(frame.pts, 6)}) + b"\n"
        self._seq += 1
        packets = self._encoder.encode(picture, frame.pts, keyframe=self._anew)
        self._anew = False
        pictures, self._pictures = tuple(self._pictures.items()), {}
        self._delayed.append(
            _Delayed(frame.ts_capture, line, self._events.seen_in(result), result.waits, pictures)
        )
        self._pass_on(packets)

    def _pass_on(self, packets: Iterable[Packet]) -> None:
        # All are paired before any is stored: a disk that is behind must not shift the rest.
        for packet, of in [(packet, self._delayed.popleft()) for packet in packets]:
            sample = Sample(packet, of.ts, of.line, of.seen, self._fresh, of.pictures)
            self._writer.put(sample, patience_s=_PATIENCE_S if of.waits else 0.0)
            self._fresh = False

    def _open_encoder(self, shape: tuple[int, ...], pixel: Fraction, matrix: int | None) -> Encoder:
        """The best encoder that can be opened, in the size of the picture made even."""
        height, width = (size + size % 2 for size in shape[:2])
        while True:
            try:
                encoder = Encoder(self._codecs[0], width, height, pixel, matrix)
            except EncoderError as error:
                if len(self._codecs) == 1:
                    raise
                log.debug("encoder_absent", error=str(error))
                del self._codecs[0]
            else:
                log.info("encoder", codec=encoder.codec, width=width, height=height)
                return encoder

    def _finish_encoder(self) -> None:
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            try:
                self._pass_on(encoder.finish())
            finally:
                self._delayed.clear()

    def _drop_encoder(self, error: EncoderError) -> None:
        """An encoder that has failed is not used again, unless it is the only one."""
        log.warning("encoder_failed", error=str(error))
        self._encoder = None
        self._delayed.clear()
        self._pictures.clear()  # else there are more and more of them while it fails
        if len(self._codecs) > 1:
            del self._codecs[0]

    def _error(self, reason: str) -> SinkError:
        return _refused(self._recorder.target, reason)


class _Delayed(NamedTuple):
    """What belongs to a picture that the encoder has not given back yet."""

    ts: float
    line: bytes
    seen: bool
    waits: bool
    pictures: tuple[tuple[str, bytes], ...]


def recorder(settings: Settings) -> Recorder:
    """What ``EDGED_OUTPUT`` asks for: a folder if there is one, or if the name has no suffix.

    Raises:
        ConfigError: events are asked for, and the output is no folder.
        SinkError: the output is neither a folder nor a file of video.
    """
    assert settings.output is not None  # noqa: S101  # the registry asks for this sink only if it is set
    target: Path = settings.output.expanduser()
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
            target,
            budget=None if budget is None else int(budget * _GIGABYTE),
            reserve=int(settings.disk_free_gb * _GIGABYTE),
        )
        events = _events(settings) if settings.events else None
        return FolderRecorder(target, retention, length=settings.segment, events=events)
    if target.suffix.lower() not in FILES:
        raise SinkError(
            f"the output {str(target)!r} is no folder and does not end in .mp4",
            hint="Set it to a file such as out.mp4, or to a folder; one with a dot in its name must be there",
        )
    if settings.events:
        raise ConfigError(
            f"EDGED_EVENTS records into a folder, and EDGED_OUTPUT={str(target)!r} is a file",
            hint="Set EDGED_OUTPUT to a folder",
        )
    return FileRecorder(target)


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
        hint="Set EDGED_OUTPUT to a place where the user of edged may write (services: in /var/lib/edged) "
        "and the disk has room",
    )


__all__ = ["VideoSink", "recorder"]
