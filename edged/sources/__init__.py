"""Sources give frames: files, cameras, streams."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from stat import S_ISCHR, S_ISFIFO, S_ISSOCK
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from edged import registry
from edged.errors import ConfigError, SourceError
from edged.settings.secrets import shown
from edged.sources.packets.tap import COPIED, NOT_COPIED

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Mapping

    from edged.records import Frame
    from edged.settings.declared import Settings
    from edged.sources.cameras.beside import PassingStream

_COPYING_AV = 15
"""PyAV before that cannot make a file of packets that it has not encoded itself."""


class Source(Protocol):
    """A blocking stream of frames, read by one thread.

    ``open`` is called once before ``frames``; ``stop`` may come from any thread at any time and makes a
    running ``frames`` end soon; ``close`` comes last and frees everything.
    """

    live: bool
    """Live sources go on without us: frames that nobody took in time are lost."""

    problem: str
    """Why no frames come at the moment (a camera that is being looked for again); empty while they do."""

    skipped: Counter[str]
    """Pictures that came and were not given, by cause since the start: ``rate`` (over EDGED_FPS), ``corrupt``
    (damaged), ``superseded`` (nobody took them in time), ``behind`` (the decoder had no time). The keys
    are there from the beginning."""

    reconnects: int
    """How often a lost camera has come back."""

    def open(self) -> None:
        """Reach the device or the file, and make sure that a first picture comes.

        Raises:
            SourceError: there is nothing to read; names the source, the cause and the hint.
        """
        ...

    def frames(self) -> Iterator[Frame]:
        """Frames in order until the end of the source or until ``stop``.

        Raises:
            SourceError: the source failed for good in the middle.
        """
        ...

    def properties(self) -> dict[str, Any]:
        """What the source says of itself: kind, width, height, fps, codec; unknown ones are left out.

        They may change while frames come: a camera that was found again may have another size.
        """
        ...

    def stop(self) -> None:
        """Ask ``frames`` to end."""
        ...

    def close(self) -> None:
        """Free device and memory."""
        ...


@runtime_checkable
class Seeker(Protocol):
    """A source whose camera need not be there at the start."""

    seeking: bool
    """Whether the first attempt to reach the camera is going on."""

    def begin(self) -> None:
        """In place of ``open``: the camera counts as lost until its first picture."""
        ...

    def hurry(self) -> None:
        """Look for a lost camera at once: what was in the way may be gone. From any thread."""
        ...


def source_class(spec: str) -> Any:
    """The registered source whose prefix fits ``spec`` (the value of EDGED_SOURCE)."""
    if _is_pipe(spec):
        return registry.load(registry.SOURCES["pipe:"])
    for prefix, path in registry.SOURCES.items():
        if spec.startswith(prefix):
            return registry.load(path)
    raise AssertionError("the empty prefix fits every path")


def _is_pipe(spec: str) -> bool:
    """Whether it is the path of what can be read only once, from its beginning to its end."""
    path = Path(spec).expanduser()
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):
        return False
    # A terminal and /dev/null may well be what standard input is; a camera is a device, too.
    return S_ISFIFO(kind) or S_ISSOCK(kind) or (S_ISCHR(kind) and spec == "/dev/stdin")


def gives_every_frame(spec: str, policy: str) -> bool:
    """Whether every frame counts, as of a file, or the newest, as of a camera.

    Args:
        spec: value of EDGED_SOURCE.
        policy: value of EDGED_POLICY.
    """
    if policy != "auto":
        return policy == "all"
    live = getattr(source_class(spec), "live", None)
    # Whether it is one, the synthetic source says itself.
    return spec.startswith("synthetic:") and "live=false" in spec if live is None else not live


def watches_packets(properties: Mapping[str, Any]) -> bool:
    """Whether a source with these properties decodes less while nothing moves (EDGED_MOTION=packets).

    Others give every frame; then the pixels decide what the model sees.
    """
    return properties.get("motion") == "packets"


def copies(settings: Settings) -> bool:
    """Whether the camera's own packets are to be recorded."""
    return settings.output is not None and settings.record == "copy"


def require_packets(settings: Settings) -> None:
    """See that there is something to record, where the camera's own packets are to be recorded.

    Raises:
        ConfigError: this kind of source has none, or none that can be kept.
    """
    if not copies(settings):
        return
    version = _av_version()
    if int(version.partition(".")[0]) < _COPYING_AV:
        raise ConfigError(
            f"EDGED_RECORD=copy needs PyAV {_COPYING_AV} or newer, and {version} is installed",
            hint=f"Install a newer one (pip install 'av>={_COPYING_AV}'), or set EDGED_RECORD=annotated",
        )
    if not _has_packets(settings):
        raise ConfigError(
            f"EDGED_RECORD=copy cannot record the source {shown(settings.source)}: it gives pictures, no "
            "encoded video that comes by itself",
            hint="Set EDGED_RECORD=annotated. Copied are network cameras (rtsp, http, rtmp, tcp, udp), and "
            "csi: as MJPG by rpicam-vid",
        )


def require_copied(codec: str) -> None:
    """See that packets of this codec, by FFmpeg's name, can be recorded; empty: pictures of another kind.

    Raises:
        ConfigError: they cannot.
    """
    if codec not in COPIED:
        raise ConfigError(
            NOT_COPIED % (codec or "such pictures"),
            hint="Set the camera to one of these, or set EDGED_RECORD=annotated",
        )


def gives_packets(settings: Settings) -> bool:
    """Whether there may be packets to show, and whether what is installed can make a file of them."""
    # Where another stream is looked at, the one that is recorded is shown, which is always one with packets.
    has_packets = settings.detect_source is not None or _has_packets(settings)
    return has_packets and int(_av_version().partition(".")[0]) >= _COPYING_AV


def _has_packets(settings: Settings) -> bool:
    source = source_class(settings.source)
    return bool(hasattr(source, "gives_packets") and source.gives_packets(settings))


def _av_version() -> str:
    import av  # noqa: PLC0415  # FFmpeg is slow to import

    return av.__version__


def passing(settings: Settings) -> PassingStream:
    """EDGED_SOURCE, where another stream is looked at: it is recorded and not decoded. Not yet open.

    Raises:
        ConfigError: it is not recorded as it comes, or is no network stream.
    """
    problem = ""
    if not copies(settings):
        problem = "is for EDGED_RECORD=copy with EDGED_OUTPUT: of EDGED_SOURCE nothing else would be used"
    elif not hasattr(source_class(settings.source), "passing"):
        problem = f"goes with a network stream as EDGED_SOURCE, and {shown(settings.source)} is none"
    if problem:
        raise ConfigError(
            f"EDGED_DETECT_SOURCE {problem}",
            hint="Without it EDGED_SOURCE is looked at, too; to look at the small stream only, name it there",
        )
    stream: PassingStream = source_class(settings.source).passing(settings)
    return stream


def looked_at(settings: Settings) -> Settings:
    """The settings with EDGED_DETECT_SOURCE, if there is one, as the source: what frames come from."""
    if settings.detect_source is None:
        return settings
    return settings.model_copy(update={"source": settings.detect_source})


@contextmanager
def named(settings: Settings) -> Iterator[None]:
    """Have what is wrong told of the setting that names the source: sources know EDGED_SOURCE only."""
    try:
        yield
    except (ConfigError, SourceError) as error:
        if settings.source != settings.detect_source:
            raise
        problem, hint = (
            text.replace("EDGED_SOURCE", "EDGED_DETECT_SOURCE") for text in (error.problem, error.hint)
        )
        raise type(error)(problem, hint=hint) from error


def create(settings: Settings) -> Source:
    """The source that the settings name, not yet open."""
    source: Source = source_class(settings.source).create(settings)
    return source
