"""Every setting, declared once: name, type, unit, default, help.

A setting ``score_threshold`` is ``EDGED_SCORE_THRESHOLD`` in the environment and in the env file.
"""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path  # pydantic reads the annotations
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from edged.errors import ConfigError
from edged.settings import device as devices
from edged.settings import secrets, written
from edged.settings.broker import parse_url
from edged.settings.field import PREFIX
from edged.settings.field import setting as _setting
from edged.settings.looking import LookSettings
from edged.settings.scene import SceneSettings
from edged.settings.webhook import WebhookSettings


def _node() -> str:
    return socket.gethostname().split(".")[0] or "edged"


_TopicLevel = Annotated[str, AfterValidator(written.topic_level)]


class Settings(LookSettings, SceneSettings, WebhookSettings, BaseSettings):
    """The configuration of one daemon. Frozen: a reload builds a new one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    # Input
    cameras: Annotated[tuple[str, ...], NoDecode, BeforeValidator(written.comma_separated)] = _setting(
        (),
        "Input",
        "names of several cameras, comma separated: EDGED_FRONT_SOURCE is that of the camera front, "
        "EDGED_SOURCE that of all that have none of their own, and so with every setting",
        shown="one, called EDGED_CAMERA",
    )
    source: Annotated[str, BeforeValidator(written.source)] = _setting(
        ...,
        "Input",
        "video or image, folder or glob of those, - for standard input, a FIFO, /dev/video0, rtsp://..., "
        "http://..., csi:0, synthetic:",
        min_length=1,
    )
    loop: bool = _setting(False, "Input", "replay a file for ever")
    policy: Literal["auto", "all", "latest"] = _setting(
        "auto",
        "Input",
        "all: every frame is kept and the source waits; latest: the newest frame counts, older ones are "
        "dropped and counted; auto: all for files, latest for live sources",
    )
    max_age: float = _setting(
        1.0,
        "Input",
        "seconds; older frames of a live source are dropped and counted",
        gt=0,
        allow_inf_nan=False,
    )
    fps: float | None = _setting(
        None,
        "Input",
        "frames a second at the most; those between are skipped and counted",
        shown="all",
        gt=0,
        allow_inf_nan=False,
    )
    rotate: Annotated[Literal[0, 90, 180, 270], BeforeValidator(written.whole_number)] = _setting(
        0, "Input", "degrees clockwise by which frames are turned: 0, 90, 180 or 270"
    )
    roi: Annotated[tuple[int, int, int, int] | None, NoDecode, BeforeValidator(written.region)] = _setting(
        None,
        "Input",
        "x,y,width,height in pixels of the turned frame, the only part of it in which anything is looked for",
        shown="the whole frame",
    )
    camera_size: Annotated[tuple[int, int] | None, NoDecode, BeforeValidator(written.size)] = _setting(
        None,
        "Input",
        "width x height to ask a /dev/video or csi: camera for, as 1280x720",
        shown="the camera's own",
    )
    camera_fps: float | None = _setting(
        None,
        "Input",
        "frames a second to ask a /dev/video or csi: camera for",
        shown="the camera's own",
        gt=0,
        le=1000,
        allow_inf_nan=False,
    )
    camera_format: Annotated[str | None, BeforeValidator(written.pixel_format)] = _setting(
        None,
        "Input",
        "pixel format as four letters: MJPG lets a USB camera give HD at full rate, YUYV is uncompressed; "
        "csi: cameras give MJPG or YU12",
        shown="auto",
    )
    stream_transport: Literal["tcp", "udp"] = _setting(
        "tcp", "Input", "how RTSP video travels: tcp, or udp (no delay after loss, but damaged pictures)"
    )
    open_timeout: float = _setting(
        10.0, "Input", "seconds that a camera or stream has to give its first frame", gt=0, le=600
    )
    read_timeout: float = _setting(
        5.0, "Input", "seconds without a frame after which a camera or stream counts as lost", gt=0, le=600
    )

    # Model
    model: Path = _setting(..., "Model", "path of a .tflite", read=True)
    labels: Path | None = _setting(
        None, "Model", "labels file, one per line", shown="from the model", read=True
    )
    classes: Annotated[tuple[str, ...], NoDecode, BeforeValidator(written.comma_separated)] = _setting(
        (), "Model", "labels to keep, comma separated", shown="all"
    )
    score_threshold: float = _setting(
        0.4, "Model", "detections below this score are left out (0..1)", gt=0, le=1, allow_inf_nan=False
    )
    iou_threshold: float = _setting(
        0.45,
        "Model",
        "of two boxes of one class that overlap more than this only the better one stays (0..1)",
        gt=0,
        le=1,
        allow_inf_nan=False,
    )

    # Device
    device: Annotated[tuple[str, ...], NoDecode, BeforeValidator(devices.devices)] = _setting(
        (devices.AUTO,),
        "Device",
        "where the model runs: cpu, edgetpu (any), edgetpu:usb:N, edgetpu:pci:N, or several of these with "
        "numbers, comma separated, with a worker each; auto: an Edge TPU if the model is compiled for it and "
        "one answers, else the CPU",
        shown="auto",
    )
    model_cpu: Path | None = _setting(
        None,
        "Device",
        "path of the same model for the CPU, which goes on while the Edge TPU does not answer",
        shown="none; with auto MODEL.tflite beside MODEL_edgetpu.tflite",
        read=True,
    )
    edgetpu_library: str = _setting("libedgetpu.so.1", "Device", "name or path of the library", min_length=1)
    edgetpu_options: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(devices.options)] = (
        _setting(
            (),
            "Device",
            "for the library, comma separated: Performance=Low|Medium|High|Max, Usb.AlwaysDfu=True|False, "
            "Usb.MaxBulkInQueueLength=0..255",
            shown="the library's own",
        )
    )
    device_timeout: float = _setting(
        20.0,
        "Device",
        "seconds for each step of opening an Edge TPU: library, device, model, first invoke",
        gt=0,
        le=600,
    )
    invoke_timeout: float = _setting(
        3.0, "Device", "seconds for one invoke, after which an Edge TPU counts as lost", gt=0, le=600
    )
    runtime: Literal["auto", "ai-edge-litert", "tflite-runtime"] = _setting(
        "auto", "Device", "ai-edge-litert or tflite-runtime; auto takes the first that is installed"
    )
    threads: Annotated[int | None, BeforeValidator(written.auto)] = _setting(
        None, "Device", "threads of one interpreter", shown="auto", ge=1, le=64
    )
    workers: Annotated[int | None, BeforeValidator(written.auto)] = _setting(
        None,
        "Device",
        "interpreters that work side by side, results stay in order; auto: for one camera one with all "
        "cores, the least delay; for files, and for several cameras, one a core, the most frames",
        shown="auto",
        ge=1,
        le=16,
    )

    weight: float = _setting(
        1.0,
        "Device",
        "how many turns a camera gets where others get one, while more frames come than the model can do",
        ge=0.1,
        le=100,
        allow_inf_nan=False,
    )

    # Output
    output: Path | None = _setting(
        None,
        "Output",
        "annotated video, H.264 in fragmented MP4: a file that ends in .mp4, or a folder for segments that "
        "are named by UTC time, each with its detections beside it",
        shown="none",
    )
    segment: float = _setting(
        60.0, "Output", "seconds of video in a file, in a folder", ge=1, le=3600, allow_inf_nan=False
    )
    output_max_gb: float | None = _setting(
        None,
        "Output",
        "gigabytes (10^9 bytes) that all segments may take; the oldest go first",
        shown="none",
        gt=0,
        allow_inf_nan=False,
    )
    disk_free_gb: float = _setting(
        1.0,
        "Output",
        "gigabytes (10^9 bytes) that stay free on the disk of the folder: the oldest segments go first, then "
        "nothing is recorded",
        ge=0,
        allow_inf_nan=False,
    )
    events: bool = _setting(False, "Output", "record into the folder only while an object is there")
    pre_roll: float = _setting(
        5.0, "Output", "seconds of video before an event", ge=0, le=60, allow_inf_nan=False
    )
    post_roll: float = _setting(
        10.0, "Output", "seconds of video after an event", ge=0, le=3600, allow_inf_nan=False
    )
    encoder: Literal["auto", "libx264", "h264_v4l2m2m"] = _setting(
        "auto",
        "Output",
        "libx264 (on the CPU) or h264_v4l2m2m (hardware of the Raspberry Pi up to 4); auto: the hardware "
        "where it works",
    )
    jsonl: str | None = _setting(
        None,
        "Output",
        "one line of JSON a frame, like the MQTT detections: a file, or - for stdout",
        shown="none",
    )
    events_jsonl: str | None = _setting(
        None, "Output", "one line of JSON for all news of an object, like the MQTT events", shown="none"
    )

    # Live view
    http: str | None = _setting(
        None,
        "Live view",
        "host:port of the live view, /healthz and /metrics; 127.0.0.1:8080 is for this machine only",
        shown="none",
    )
    http_token_file: Path | None = _setting(
        None,
        "Live view",
        "file with the token, 16 characters or more, that the live view asks for; it must have one unless "
        "only this machine can reach it",
        shown="none",
    )

    # MQTT
    mqtt_url: str | None = _setting(
        None, "MQTT", "mqtt://user@host:1883 or mqtts://user@host:8883", shown="none"
    )
    mqtt_password_file: Path | None = _setting(
        None, "MQTT", "file that holds the password", shown="none", read=True
    )
    mqtt_version: Literal["5", "3.1.1"] = _setting("5", "MQTT", "protocol version: 5 or 3.1.1")
    mqtt_prefix: _TopicLevel = _setting("edged", "MQTT", "first topic level")
    mqtt_empty: bool = _setting(True, "MQTT", "publish frames without detections, too")
    mqtt_queue: int = _setting(
        1000, "MQTT", "messages kept in memory while the broker is away", ge=1, le=1_000_000
    )
    mqtt_keepalive: int = _setting(
        15, "MQTT", "seconds after which a silent broker counts as gone", ge=1, le=65535
    )
    mqtt_ca: Path | None = _setting(
        None, "MQTT", "CA certificates (PEM) for mqtts", shown="the system's", read=True
    )
    mqtt_cert: Path | None = _setting(
        None, "MQTT", "client certificate (PEM) for mqtts", shown="none", read=True
    )
    mqtt_key: Path | None = _setting(
        None, "MQTT", "key of the client certificate (PEM)", shown="none", read=True
    )
    node: _TopicLevel = Field(
        default_factory=_node,
        description="node id in topics",
        json_schema_extra={"section": "MQTT", "shown": "the host name"},
    )
    camera: _TopicLevel = _setting("camera", "MQTT", "camera id in topics")
    spool: Path | None = _setting(
        None,
        "MQTT",
        "folder that keeps detections and events on disk while the broker is away, and over a kill which "
        "events are open and how often lines were crossed",
        shown="none",
    )
    spool_max_mb: int = _setting(100, "MQTT", "megabytes the spool may take; the oldest goes first", ge=1)
    spool_max_age: float = _setting(
        604800.0,
        "MQTT",
        "seconds of running after which spooled messages are dropped",
        gt=0,
        allow_inf_nan=False,
    )
    snapshot_interval: float = _setting(
        0.0,
        "MQTT",
        "seconds between snapshots (annotated JPEG) while something is seen; 0: none",
        ge=0,
        allow_inf_nan=False,
    )
    commands: bool = _setting(
        False,
        "MQTT",
        "obey commands under <base>/cmd/: snapshot, pause, resume, reload, and detection, recording, "
        "threshold and model, which take a value",
    )
    ha_discovery: bool = _setting(False, "MQTT", "announce entities to Home Assistant")
    ha_prefix: _TopicLevel = _setting("homeassistant", "MQTT", "Home Assistant's discovery prefix")

    # Service
    stats_interval: float = _setting(
        10.0, "Service", "seconds between timings messages", gt=0, allow_inf_nan=False
    )
    stop_timeout: float = _setting(
        10.0, "Service", "seconds that a stop may take before it is forced", gt=0, allow_inf_nan=False
    )
    log_format: Literal["auto", "console", "json"] = _setting(
        "auto", "Service", "console or json; auto: console on a terminal, json otherwise"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "Service", "debug, info, warning or error"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003  # the signature is pydantic's
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what :func:`load` hands in: it has to know every name to find the unknown ones."""
        del settings_cls
        return (init_settings,)

    @field_validator("mqtt_url")
    @classmethod
    def _is_broker(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse_url(value)
            except ConfigError as error:
                # Only a ValueError is collected together with what else is wrong.
                raise ValueError(error.problem) from error
        return value

    @field_validator("http")
    @classmethod
    def _is_listener(cls, value: str | None) -> str | None:
        if value is not None:
            from edged.settings.listener import parse  # noqa: PLC0415  # a daemon without HTTP need not know it

            try:
                parse(value)
            except ConfigError as error:
                raise ValueError("not host:port") from error
        return value

    @property
    def several(self) -> bool:
        """Whether there may be other cameras beside this one."""
        return bool(self.cameras)

    @property
    def fingerprint(self) -> str:
        """Hash of all settings, to see from afar which configuration is in force.

        Without the passwords in URLs: it is published, and short ones could be found by trying.
        """
        values = {
            name: secrets.of_setting(value, name) if isinstance(value, str) else value
            for name, value in self.model_dump(mode="json").items()
        }
        text = json.dumps(values, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


__all__ = ["PREFIX", "Settings"]
