"""Every plug-in by name, as import strings: a new kind is one file and one line here.

Nothing is imported before it is asked for, so a missing optional package hurts only who uses it, and
an import that fails is never swallowed.
"""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

DECODERS: dict[str, str] = {
    # A model is of one family at most: each says by evidence why another one's is not its own.
    "yolo-pose": "edged.decoders.yolo_pose:YoloPose",
    "yolo-seg": "edged.decoders.yolo_seg:YoloSeg",
    "yolo-obb": "edged.decoders.yolo_obb:YoloObb",
    "movenet": "edged.decoders.movenet:MoveNet",
    "movenet-multipose": "edged.decoders.movenet:MoveNetMultiPose",
    "yolo-end2end": "edged.decoders.yolo_end2end:YoloEnd2End",
    "yolov5": "edged.decoders.yolov5:Yolov5",
    "yolox": "edged.decoders.yolox:Yolox",
    "nanodet": "edged.decoders.nanodet:NanoDet",
    "yolo": "edged.decoders.yolo:Yolo",
    "yolo-split": "edged.decoders.yolo_split:YoloSplit",
    "picodet": "edged.decoders.picodet:PicoDet",
    "blazeface": "edged.decoders.blazeface:BlazeFace",
    "classifier": "edged.decoders.classifier:Classifier",
    "fomo": "edged.decoders.fomo:Fomo",
    "ssd-raw": "edged.decoders.ssd_raw:SsdRaw",
    "ssd": "edged.decoders.ssd:Ssd",
}

SOURCES: dict[str, str] = {
    # Prefix of EDGED_SOURCE; the first that fits wins, the empty one fits every path.
    "synthetic:": "edged.sources.synthetic:SyntheticSource",
    "rtsp://": "edged.sources.stream:StreamSource",
    "rtsps://": "edged.sources.stream:StreamSource",
    "http://": "edged.sources.stream:StreamSource",
    "https://": "edged.sources.stream:StreamSource",
    "rtmp://": "edged.sources.stream:StreamSource",
    "rtmps://": "edged.sources.stream:StreamSource",
    "tcp://": "edged.sources.stream:StreamSource",
    "udp://": "edged.sources.stream:StreamSource",
    "csi:": "edged.sources.csi:CsiSource",
    "/dev/video": "edged.sources.v4l2:V4l2Source",
    "/dev/v4l/": "edged.sources.v4l2:V4l2Source",
    "pipe:": "edged.sources.pipe:PipeSource",  # a path is one where such a thing lies
    "": "edged.sources.file:FileSource",
}

SINKS: dict[str, str] = {
    # The setting that switches the sink on. Opened in this order, closed in reverse: MQTT tells of the rest.
    "mqtt_url": "edged.sinks.mqtt:MqttSink",
    "jsonl": "edged.sinks.jsonl:JsonlSink",
    "events_jsonl": "edged.sinks.events:EventLinesSink",
    "output": "edged.sinks.video:VideoSink",
    "http": "edged.sinks.http:HttpSink",
    "webhook_url": "edged.sinks.webhook:WebhookSink",
}


def load(path: str) -> Any:
    """Import ``"module:Class"``."""
    return resolve_name(path)
