"""One picture through one model, as the daemon would do it: what is found, and the picture with it drawn."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from edged.decoders import decoder_class
from edged.engines.cpu import CpuEngine
from edged.errors import ModelError, SourceError
from edged.imaging.drawing import annotate
from edged.imaging.tensors import Preprocessor
from edged.model import file
from edged.model.description import describe

if TYPE_CHECKING:
    from pathlib import Path

    from edged.records import Detection, Image


class Tried(NamedTuple):
    """What came of it."""

    detections: list[Detection]
    annotated: Image
    invoke_ms: float
    decode_ms: float


def look(model: Path, image: Image, *, labels: Path | None, score: float, iou: float) -> Tried:
    """Find things in a picture, and draw them into it.

    Args:
        model: a .tflite for the CPU.
        image: the picture; it is drawn into.
        labels: a labels file; None: those of the model.
        score: least score, 0..1.
        iou: of two boxes of a class that overlap more only the better one stays, 0..1.

    Raises:
        ModelError: edged cannot use the model, or not without an Edge TPU.
        OutputError: what the model gives makes no sense.
    """
    content = file.read(model, labels=labels)
    if content.edgetpu:
        raise ModelError(
            f"the model {model} is compiled for the Edge TPU, and a picture is tried on the CPU",
            hint="Give its CPU build (the one without _edgetpu in its name)",
        )
    engine = CpuEngine(model)
    try:
        known = describe(content, engine.inputs, engine.outputs, engine.invoke)
        decoder = decoder_class(known)(known, score_threshold=score, iou_threshold=iou)
        preprocess = Preprocessor(known.inputs[0], decoder.encoding)
        tensor = preprocess.new_input()
        geometry = preprocess(image, tensor)
        engine.invoke(tensor)  # the first run is slower than all others
        started = time.perf_counter()
        outputs = engine.invoke(tensor)
        invoked = time.perf_counter()
        detections = decoder.decode(outputs, geometry)
        decoded = time.perf_counter()
    finally:
        engine.close()
    annotate(image, detections)
    return Tried(detections, image, 1e3 * (invoked - started), 1e3 * (decoded - invoked))


def read(path: Path) -> Image:
    """The picture in a file.

    Raises:
        SourceError: there is none.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise SourceError(
            f"the picture {path} cannot be read: {error.strerror}", hint="Give a JPEG or PNG"
        ) from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:  # a size in its head that nobody can have memory for
        image = None
    if image is None:
        raise SourceError(f"{path} is no picture that OpenCV can read", hint="Give a JPEG or PNG")
    return image.astype(np.uint8, copy=False)
