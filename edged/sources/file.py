"""Video and image files: one, a folder of them, or all that fit a pattern."""

from __future__ import annotations

import glob
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from edged.contract.words import natural
from edged.errors import SourceError
from edged.records import Frame
from edged.sources.decoding import media
from edged.sources.decoding.hardware import DecoderChoice
from edged.sources.decoding.skipping import Skipping
from edged.sources.pace import Pace, turned_pixel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edged.settings.declared import Settings

log = structlog.get_logger()


class FileSource:
    """Clips in any container that FFmpeg reads, and images; frame numbers and media time go on over all.

    A file that is damaged does not keep the others back: what is wrong is raised after the last one.

    Args:
        spec: a file, a folder, or a pattern such as ``clips/*.mp4`` (``**`` stands for any depth). In a
            folder only media files count, by their suffix; ``2.jpg`` comes before ``10.jpg``.
        loop: begin again at the end.
        realtime: give frames at the pace of their timestamps, as a camera would, not as fast as they are
            taken.
        fps: frames a second of media time at the most, or None for all; images always count.
        rotate: degrees clockwise.
    """

    live = False
    problem = ""
    reconnects = 0

    def __init__(
        self,
        spec: str,
        *,
        loop: bool = False,
        realtime: bool = False,
        fps: float | None = None,
        rotate: int = 0,
    ) -> None:
        self.skipped: Counter[str] = Counter({"rate": 0, "corrupt": 0})
        self._spec = spec
        self._loop = loop
        self._realtime = realtime
        self._pace = Pace(fps)
        self.skipping = Skipping(self._pace, self.skipped)
        self.choice = DecoderChoice()
        self._rotate = rotate
        self._stopped = threading.Event()
        self._paths: list[Path] = []
        self._told: set[str] = set()
        self._properties: dict[str, Any] = {}

    @classmethod
    def create(cls, settings: Settings) -> FileSource:
        """As the settings say."""
        source = cls(
            settings.source,
            loop=settings.loop,
            # A loop stands for a camera: a limit on it means frames a second by the clock.
            realtime=settings.policy == "latest" or (settings.loop and settings.fps is not None),
            fps=settings.fps,
            rotate=settings.rotate,
        )
        source.choice = DecoderChoice(settings.decoder)
        if settings.motion == "packets":
            source.skipping.watch_packets(settings.motion_check)
        return source

    @property
    def degraded(self) -> str:
        """Why something else decodes than was asked for."""
        return self.choice.problem

    def open(self) -> None:
        """List the files, and find out whether there is a picture in any of them."""
        with media.reading(self._spec):
            self._paths = listed(self._spec)
        first: SourceError | None = None
        for path in self._paths:
            try:
                self._properties = media.probe(path, self._rotate, self.skipping, self.choice)
            except SourceError as error:
                first = first or error
                continue
            if len(self._paths) > 1:
                self._properties["files"] = len(self._paths)
                self._properties.pop("frames", None)  # of the first one only
            return
        assert first is not None  # noqa: S101  # listed() gives at least one
        raise first

    def frames(self) -> Iterator[Frame]:
        """Every frame of every file, in order."""
        begun = asked = time.monotonic()
        number = 0
        for picture, pts in self._pictures():
            if (pixels := media.converted(picture, self._rotate, self.skipped)) is None:
                continue
            now = time.monotonic()
            capture_ms = 1e3 * (now - asked)
            if self._realtime and self._stopped.wait(max(0.0, begun + pts - now)):
                return
            pixel = turned_pixel(picture.pixel, self._rotate)
            yield Frame(number, pixels, time.time(), time.monotonic(), pts, capture_ms, pixel)
            if self.skipping.resting:  # else it would be through with the file before anybody has looked
                self.skipping.await_verdict(number)
            number += 1
            if self._stopped.is_set():
                return
            asked = time.monotonic()

    def properties(self) -> dict[str, Any]:
        """Kind, width, height, a clip's codec, rate and frames; those of the first of several."""
        return self._properties

    def rest(self, frame_id: int, *, quiet: bool) -> None:
        """Decode less while nothing moves."""
        self.skipping.rest(frame_id, quiet=quiet)

    def stop(self) -> None:
        """End after the current frame."""
        self._stopped.set()

    def close(self) -> None:
        """Nothing is left open between files."""

    def _pictures(self) -> Iterator[tuple[media.StoredPicture, float]]:
        """Those within the limit, from all files, each with its media time since the start."""
        offset = 0.0
        while True:
            # Words, not exceptions: a traceback that is kept would hold a decoder.
            failures: list[tuple[str, str]] = []
            begun = offset
            for path in self._paths:
                end = offset
                try:
                    for picture in media.pictures(path, self.skipped, self.skipping, self.choice):
                        pts = offset + picture.time
                        end = pts + picture.frame_time
                        if media.is_image(path):
                            yield picture, pts
                        elif self._pace.due(pts):
                            self._pace.given(pts)
                            yield picture, pts
                        else:
                            self.skipped["rate"] += 1
                except SourceError as error:
                    failures.append((error.problem, error.hint))
                offset = end
            self._tell(failures)
            # A loop goes on with what is good; a round that gave nothing would turn for ever.
            if failures and (not self._loop or offset == begun):
                raise self._summary(failures)
            if not self._loop:
                return

    def _tell(self, failures: list[tuple[str, str]]) -> None:
        """Log each of them once, however often a loop comes by."""
        for problem, _ in failures:
            if problem not in self._told:
                self._told.add(problem)
                log.warning("file_damaged", problem=problem)

    def _summary(self, failures: list[tuple[str, str]]) -> SourceError:
        problem, hint = failures[0]
        if len(failures) == 1:
            return SourceError(problem, hint=hint)
        return SourceError(
            f"{len(failures)} of {len(self._paths)} files of {self._spec!r} were damaged; "
            f"the first: {problem}",
            hint=hint,
        )


def listed(spec: str) -> list[Path]:
    """The files that ``spec`` names, in the order of their names, numbers by their value.

    Raises:
        SourceError: there is none.
    """
    path = Path(spec).expanduser()
    if path.is_dir():
        found = [
            entry
            for entry in path.iterdir()
            if entry.suffix.lower() in media.IMAGES | media.CLIPS
            and not entry.name.startswith(".")
            and entry.is_file()
        ]
        if not found:
            raise SourceError(f"the folder {spec!r} has no video or image file in it", hint=media.HINT)
    elif path.exists() or not glob.has_magic(spec):
        found = [path]
    else:
        names = glob.glob(str(path), recursive=True)  # noqa: PTH207  # takes absolute ones
        found = [entry for entry in map(Path, names) if entry.is_file()]
        if not found:
            raise SourceError(f"no file fits the pattern {spec!r}", hint=media.HINT)
    if found == [path]:
        if not path.exists():
            raise SourceError(f"the source {spec!r} does not exist", hint=media.HINT)
        return found
    return sorted(found, key=lambda path: natural(str(path)))
