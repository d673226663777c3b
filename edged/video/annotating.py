"""Results drawn, encoded and handed to the disk's thread."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import structlog

from edged.pixels import Planes
from edged.video.encoder import Encoder, EncoderError
from edged.video.segments import Sample
from edged.video.writer import BehindError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from fractions import Fraction

    from edged.metrics import Meter
    from edged.pixels import Pixels
    from edged.records import Result
    from edged.video.copying import Note
    from edged.video.encoder import Packet
    from edged.video.writer import Writer

_PATIENCE_S = 2.0
"""How long a source that waits is held up by a slow disk, before video is left out."""

log = structlog.get_logger()


class Annotator:
    """Encodes the pictures of results with what was found in them.

    Args:
        writer: stores them.
        codecs: encoders, best first; one that cannot be opened, or fails, makes way for the next.
        one_size: whether pictures of another size are brought to that of the first ones.
        meter: gets the latencies of ``annotate`` and ``encode``.
    """

    def __init__(self, writer: Writer, *, codecs: Sequence[str], one_size: bool, meter: Meter) -> None:
        self._writer = writer
        self._codecs = list(codecs)
        self._one_size = one_size
        self._meter = meter
        self._encoder: Encoder | None = None
        self._form: tuple[tuple[int, ...], Fraction, int | None] | None = None
        """What the pictures are like that the encoder is for."""
        self._fresh = True
        self._anew = True
        self._delayed: deque[tuple[Note, bool]] = deque()
        """Notes of pictures that the encoder has not given back yet, each with whether its source waits."""

    def take(self, result: Result, note: Note) -> None:
        """Draw and encode one result.

        Raises:
            EncoderError: it could not be encoded.
            BehindError: the disk does not keep up; it is lost.
        """
        started = time.perf_counter()
        picture = result.picture()
        drawn = time.perf_counter()
        try:
            self._encode(result, picture, note)
        except EncoderError as error:
            self._drop_encoder(error)
            raise
        except BehindError:
            self._anew = True
            raise
        self._meter.observe("annotate", 1e3 * (drawn - started))
        self._meter.observe("encode", 1e3 * (time.perf_counter() - drawn))

    def skip(self) -> None:
        """Results are left out: the next one is a keyframe."""
        self._anew = True

    def finish(self) -> None:
        """Hand on what the encoder still holds.

        Raises:
            EncoderError: it could not be encoded.
            BehindError: the disk does not keep up.
        """
        if self._encoder is not None:
            encoder, self._encoder = self._encoder, None
            try:
                self._pass_on(encoder.finish())
            finally:
                self._delayed.clear()

    def _encode(self, result: Result, picture: Pixels, note: Note) -> None:
        matrix = picture.matrix if isinstance(picture, Planes) else None
        form = picture.shape, result.frame.pixel, matrix
        if self._encoder is None or (form != self._form and not self._one_size):
            self.finish()
            self._encoder = self._open_encoder(*form)
            self._form = form
            self._fresh = True
        packets = self._encoder.encode(picture, result.frame.pts, keyframe=self._anew)
        self._anew = False
        self._delayed.append((note, result.waits))
        self._pass_on(packets)

    def _pass_on(self, packets: Iterable[Packet]) -> None:
        # All are paired before any is stored: a disk that is behind must not shift the rest.
        for packet, (of, waits) in [(packet, self._delayed.popleft()) for packet in packets]:
            sample = Sample(packet, of.ts, of.line, of.seen, self._fresh, of.pictures)
            self._writer.put(sample, patience_s=_PATIENCE_S if waits else 0.0)
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

    def _drop_encoder(self, error: EncoderError) -> None:
        """An encoder that has failed is not used again, unless it is the only one."""
        log.warning("encoder_failed", error=str(error))
        self._encoder = None
        self._delayed.clear()
        if len(self._codecs) > 1:
            del self._codecs[0]
