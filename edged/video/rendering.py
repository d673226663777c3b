"""What was found drawn into a copy of a recorded segment, afterwards."""

from __future__ import annotations

import json
from bisect import bisect_left
from typing import TYPE_CHECKING, Any

from edged.errors import ConfigError, SinkError, SourceError
from edged.imaging.picture import Picture
from edged.records import Box, Detection, Keypoint
from edged.sources.connection import Damaged
from edged.sources.decoding.container import Container
from edged.video.encoder import SOFTWARE, Encoder, EncoderError
from edged.video.recorder import FileRecorder
from edged.video.segments import LINES, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction
    from pathlib import Path

    from edged.pixels import Pixels
    from edged.video.encoder import Packet

_FAR = 1e6
"""Pixels; what is farther is in no picture, and nothing that can be drawn."""
_FARTHEST_S = 1.0
"""How long before or after it a picture may have been looked at, for its boxes to be drawn."""


class LinesBeside:
    """The lines beside a segment, by time.

    Args:
        path: of the lines.

    Raises:
        SourceError: they cannot be read, or are none.
        ConfigError: they belong to a video that has its boxes already.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = path.read_text(encoding="utf-8")
            found = [json.loads(line) for line in content.splitlines(keepends=True) if line.endswith("\n")]
            placed = [(float(line["at"]), line) for line in found if "at" in line]
        except (OSError, ValueError, TypeError, RecursionError) as error:
            raise _unreadable(path, error) from error
        if len(placed) < len(found):
            raise ConfigError(
                f"the video beside {str(path)!r} has what was found drawn in already",
                hint="This is for segments of EDGED_RECORD=copy",
            )
        self._path = path
        placed.sort(key=lambda pair: pair[0])
        self._times = [at for at, _ in placed]
        self._lines = [line for _, line in placed]

    def at(self, time: float, width: int, height: int) -> list[Detection]:
        """What was found nearest to a time, in pixels of a picture of this size; nothing if far off.

        Raises:
            SourceError: what the line says is nothing that was found.
        """
        after = bisect_left(self._times, time)
        near = [n for n in (after - 1, after) if 0 <= n < len(self._times)]
        nearest = min(near, key=lambda n: abs(self._times[n] - time), default=None)
        if nearest is None or abs(self._times[nearest] - time) > _FARTHEST_S:
            return []
        line = self._lines[nearest]
        try:
            x, y = width / line["image"]["w"], height / line["image"]["h"]
            return [_detection(item, x, y) for item in line["detections"]]
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            raise _unreadable(self._path, error) from error


def _unreadable(path: Path, error: Exception) -> SourceError:
    reason = getattr(error, "strerror", None) or "it is no file of detections"
    return SourceError(
        f"{str(path)!r}, the detections beside the video, cannot be read: {reason}",
        hint="Name a segment, a .mp4 that EDGED_RECORD=copy has written, with its .jsonl beside it",
    )


def render(segment: Path, out: Path, *, rotate: int = 0) -> int:
    """Draw what was found into a copy; how many pictures it has.

    Args:
        segment: recorded with EDGED_RECORD=copy, with its lines beside it.
        out: the copy, H.264; one that is there is replaced.
        rotate: degrees clockwise, EDGED_ROTATE of that time.

    Raises:
        SourceError: the segment or its lines cannot be read.
        SinkError: the copy cannot be written.
        ConfigError: there is nothing to be drawn that is not drawn already.
    """
    if out.resolve() == segment.resolve():
        raise ConfigError(
            f"the copy cannot take the place of {str(segment)!r} itself", hint="Give another file with -o"
        )
    findings = LinesBeside(segment.with_suffix(LINES))
    recorder, count = FileRecorder(out), 0
    try:
        recorder.open()
        for packet in _encoded(_drawn(segment, findings, rotate)):
            recorder.take(Sample(packet, 0.0, b"", seen=False))
            count += 1
        recorder.close()
    except (OSError, EncoderError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SinkError(f"{str(out)!r} cannot be written: {reason}") from error
    if not count:
        raise SourceError(f"{str(segment)!r} has no picture in it")
    return count


def _drawn(segment: Path, findings: LinesBeside, rotate: int) -> Iterator[tuple[Pixels, float, Fraction]]:
    """Every picture with its boxes, its time, and the width of its pixels by their height."""
    name = f"the segment {str(segment)!r}"
    with Container(f"file:{segment}", name=name, hint="Name a segment of EDGED_OUTPUT") as container:
        while True:
            try:
                if not container.grab():
                    continue
            except Damaged:
                continue
            except EOFError:
                return
            pixels, time = container.pixels(rotate), container.time or 0.0
            height, width = pixels.shape[:2]
            pixel = container.pixel if rotate % 180 == 0 else 1 / container.pixel
            yield Picture(pixels, findings.at(time, width, height))(), time, pixel


def _encoded(pictures: Iterable[tuple[Pixels, float, Fraction]]) -> Iterator[Packet]:
    encoder: Encoder | None = None
    for pixels, time, pixel in pictures:
        if encoder is None:
            height, width = (size + size % 2 for size in pixels.shape[:2])
            encoder = Encoder(SOFTWARE, width, height, pixel)
        yield from encoder.encode(pixels, time)
    if encoder is not None:
        yield from encoder.finish()


def _detection(item: dict[str, Any], x: float, y: float) -> Detection:
    x1, y1, x2, y2 = item["box"]
    points = (*item.get("keypoints", ()), *item.get("outline", ()))
    for number in (x1, y1, x2, y2, item["score"], *(part for point in points for part in point)):
        if not abs(number) < _FAR:
            raise ValueError
    return Detection(
        item["class_id"] + 0,
        str(item["label"]),
        item["score"],
        Box(x1 * x, y1 * y, x2 * x, y2 * y),
        item.get("track"),
        keypoints=tuple(Keypoint(px * x, py * y, sure) for px, py, sure in item.get("keypoints", ())),
        outline=tuple((px * x, py * y) for px, py in item.get("outline", ())),
        sub_label=str(item.get("sub_label", "")),
        sub_score=item.get("sub_score", 0.0),
    )
