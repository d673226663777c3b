"""The values that travel through the pipeline: frozen, slotted, without I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from edged.metrics import FrameCounts, StageStats
    from edged.pixels import Pixels

    Image: TypeAlias = npt.NDArray[np.uint8]
    """Pixels, shape (height, width, 3), uint8, channels blue, green, red."""

    Tensor: TypeAlias = npt.NDArray[Any]
    """One input or output of a model, in the model's own dtype, quantised values as they are."""


class Box(NamedTuple):
    """Corners in pixels of the source frame, (0, 0) its upper left; x2 and y2 lie just outside the box."""

    x1: float
    y1: float
    x2: float
    y2: float


class Keypoint(NamedTuple):
    """One point of a pose, in pixels of the source frame; it may lie outside."""

    x: float
    y: float
    visibility: float
    """0..1: how sure the model is that it is to be seen there."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture as the source gave it."""

    frame_id: int
    """Number of the frame since the source was opened, from 0, without gaps."""
    pixels: Pixels
    """As they came: nobody has converted what nobody looks at."""
    ts_capture: float
    """UTC, seconds since the epoch: when it came from the camera, before it was decoded; of a file after."""
    captured: float
    """The same moment on the monotonic clock, seconds; for durations only."""
    pts: float
    """Media time, seconds since the first frame; a live source counts from when it was opened."""
    capture_ms: float = 0.0
    """How long the source took to read and decode it; of a live source with the time that it lay there."""
    pixel: Fraction = Fraction(1)
    """Width of a pixel by its height: some recorders' are not square. Boxes count pixels all the same."""

    full: tuple[int, int] | None = None
    """Width and height of a larger stream in whose pixels boxes are published; None: in its own."""
    decoded: float | None = None
    """When a live source had decoded it, monotonic; None: before it was captured."""

    @property
    def taken(self) -> float:
        """When it was read, monotonic: it is of the last packet that had come by then."""
        # Who reads a camera decodes a packet before the next one is asked for. A decoder that puts pictures
        # in order gives with each packet the one that is shown when that packet is decoded.
        return self.captured if self.decoded is None else self.decoded

    @property
    def image(self) -> Image:
        """The picture in BGR, converted when first asked for; not to be written into."""
        from edged.pixels import bgr  # noqa: PLC0415  # OpenCV is slow to import, and most who import this draw nothing

        return bgr(self.pixels)

    @property
    def width(self) -> int:
        """Width in pixels."""
        width: int = self.pixels.shape[1]
        return width

    @property
    def height(self) -> int:
        """Height in pixels."""
        height: int = self.pixels.shape[0]
        return height


class Detection(NamedTuple):
    """One object found in a frame. A tuple, for twenty of them are made for every frame with ten objects."""

    class_id: int
    label: str
    score: float
    """0..1."""
    box: Box
    track: int | None = None
    """Id of the object over time, None before it was seen twice, or where tracks are off."""
    keypoints: tuple[Keypoint, ...] = ()
    """Points of its pose, in the order of the model; empty where the model knows none."""
    skeleton: tuple[tuple[int, int], ...] = ()
    """Which keypoints are joined, by index; for drawing only."""
    outline: tuple[tuple[float, float], ...] = ()
    """Corners x, y of a polygon around it, in pixels of the source frame; empty without one. Four of an
    oriented box, which may lie outside the frame."""
    path: tuple[tuple[float, float], ...] = ()
    """Where it went, as fractions of the frame; for drawing only."""
    sub_label: str = ""
    """What a second model says that it is, more exactly; empty as long as nobody knows."""
    sub_score: float = 0.0
    """0..1, of ``sub_label``."""

    def followed(self, track: int, path: tuple[tuple[float, float], ...]) -> Detection:
        """The same as a part of a track; by hand, as it is done to every object of every frame."""
        class_id, label, score, box, _, keypoints, skeleton, outline, _, sub_label, sub_score = self
        told = class_id, label, score, box, track, keypoints, skeleton, outline, path, sub_label, sub_score
        return tuple.__new__(Detection, told)  # a call less than by its own constructor


@dataclass(frozen=True, slots=True)
class Event:
    """News of one object, from its coming to its going."""

    kind: str
    """``start``, ``update`` or ``end``: exactly one start and one end an event."""
    event_id: str
    changes: tuple[str, ...]
    """Why it is told: ``zone_entered:porch``, ``zone_left:porch``, ``line_crossed:gate:in``, ``stationary``,
    ``moving``, ``picture`` (a better one), ``alive`` (nothing new for a minute)."""
    ended_by: str
    """``left``, ``lost``, ``reload`` or ``stop``; empty before the end."""
    track: int
    label: str
    score: float
    top_score: float
    box: Box
    best_box: Box
    """Where it was in the best picture of it."""
    width: int
    """The frame's, in pixels."""
    height: int
    ts: float
    """UTC of the frame that brought the news."""
    start_ts: float
    """UTC of the frame in which it was first seen."""
    end_ts: float | None
    """UTC of the frame in which it was last seen, once it has ended."""
    duration_s: float
    """From when it was first seen to now, by the frames' own clock."""
    stationary: bool
    zones: tuple[str, ...]
    """Where it is now."""
    entered_zones: tuple[str, ...]
    dwell_s: Mapping[str, float]
    """Seconds in each zone that it has entered."""
    lines: tuple[tuple[str, str], ...]
    """Lines crossed, each with ``in`` or ``out``, in order; of very many the last ones."""
    path: tuple[tuple[float, float], ...]
    """Where it went, as fractions of the frame."""
    crop: Image | None = None
    """The best picture of it, where it is new: with the start, with ``picture``, and with the end of one
    that is gone within a second of its last."""
    sub_label: str = ""
    """What a second model says that it is, more exactly; empty as long as nobody knows."""
    sub_score: float = 0.0
    tellings: dict[tuple[str, str], Any] = field(default_factory=dict, init=False, repr=False, compare=False)
    """What was made of it to be published, see :func:`edged.contract.event_messages.told`."""


class Presence(NamedTuple):
    """Who is there: confirmed objects, so that a frame in which one is missed changes nothing."""

    counts: Mapping[str, int]
    """By label."""
    zones: Mapping[str, Mapping[str, int]]
    """By zone, then by label; every zone is there."""
    lines: Mapping[str, Mapping[tuple[str, str], int]]
    """By line, then by direction and label: crossings since the start."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """What a model says of one of its tensors."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float = 0.0
    """real = scale * (stored - zero_point); 0 where the tensor is not quantised."""
    zero_point: int = 0

    @property
    def quantised(self) -> bool:
        """Whether stored values must be scaled to become real ones."""
        return self.scale != 0.0

    def __str__(self) -> str:
        quantised = f" ({self.scale:.6g}, {self.zero_point})" if self.quantised else ""
        return f"{self.dtype}{list(self.shape)}{quantised}"


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of a model file before a decoder is chosen."""

    name: str
    """File name without folder and ``.tflite``."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The exporter's own description (Ultralytics: names, stride, imgsz, task), empty where there is none."""
    labels: tuple[str, ...] = ()
    """Class names by class id, empty where neither the file nor the settings name any; gaps are ``""``."""
    labels_from: str = ""
    """Where the labels were read, for messages."""
    labels_numbered: bool = False
    """Whether every label says its class id, so that one too many shifts no other."""
    trial: Callable[[], Sequence[Tensor]] = tuple
    """Runs the model on an input of zeros and gives its outputs, for families that only the range of their
    values tells apart; gives nothing where the model cannot run, as without its Edge TPU."""


@dataclass(frozen=True, slots=True)
class Result:
    """What the pipeline made of one frame."""

    frame: Frame
    model: str
    """Name of the model that found them."""
    detections: tuple[Detection, ...]
    timings_ms: Mapping[str, float]
    """Milliseconds this frame spent in each stage, in the order it went through them: those that it did."""
    picture: Callable[[], Pixels]
    """The frame with its detections drawn: made when first asked for, in place of the frame's pixels, and
    shared by all sinks."""
    waits: bool
    """Whether a slow sink may hold it up, since every frame counts (a file), or must let it go (a camera)."""
    events: tuple[Event, ...] = ()
    """What the frame brought; an outlet tells them even where the frame gives way to a newer one."""
    presence: Presence | None = None
    """Who is there; None where tracks are off."""
    inferred: bool = True
    """Whether the model saw this frame; if not, nothing moved, and what it saw last is told on."""


@dataclass(frozen=True, slots=True)
class Report:
    """How the daemon fared over one stats interval."""

    interval_s: float
    fps: float
    """Results a second over the interval."""
    stages: Mapping[str, StageStats]
    frames: FrameCounts
    """Since the start, not over the interval: totals survive a lost message."""
    reconnects: int
    """How often the source was lost and came back, since it was opened."""
    sinks: Mapping[str, Mapping[str, int]]
    """By sink: results taken, and lost by cause, since the start."""
    host: Mapping[str, float | int | bool]
    """Health of the machine; a sensor that is not there is left out."""
    events: Mapping[str, int] = field(default_factory=dict)
    """Events ``started``, ``ended`` and ``open``, and objects ``refused``; empty where none are followed."""


@dataclass(frozen=True, slots=True)
class Controls:
    """What can be switched while the daemon runs, and how it is set."""

    recording: bool | None = None
    """None where there is nothing to switch: no folder for segments is set."""
    threshold: float | None = None
    """Score, 0..1."""
    models: tuple[str, ...] = ()
    """Names of those that can be chosen."""


@dataclass(frozen=True, slots=True)
class State:
    """What the daemon is doing, for the retained state topic."""

    lifecycle: str
    """``starting``, ``running``, ``paused``, ``stopping`` or ``stopped``."""
    device: str
    runtime: str
    model: str
    version: str
    config_hash: str
    camera_online: bool
    source: Mapping[str, Any] = field(default_factory=dict)
    """What the source says of itself."""
    degraded: tuple[str, ...] = ()
    """Reasons, one sentence each; empty when all is well."""
    labels: tuple[str, ...] = ()
    """What may be found, as far as it is known; not published."""
    controls: Controls = Controls()
