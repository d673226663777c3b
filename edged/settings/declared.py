"""Every setting, declared once, here or in the classes of which it is made: name, type, unit, default, help.

A setting ``score_threshold`` is ``EDGED_SCORE_THRESHOLD`` in the environment and in the env file.
"""

from __future__ import annotations

import hashlib
import json
import socket
from pathlib import Path  # pydantic reads the annotations
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from edged.errors import ConfigError
from edged.settings import device as devices
from edged.settings import secrets, written
from edged.settings.broker import parse_url
from edged.settings.field import PREFIX
from edged.settings.field import setting as _setting
from edged.settings.home import HomeSettings
from edged.settings.input import InputSettings
from edged.settings.looking import LookSettings
from edged.settings.output import OutputSettings
from edged.settings.scene import SceneSettings
from edged.settings.webhook import WebhookSettings


def _node() -> str:
    return socket.gethostname().split(".")[0] or "edged"


_TopicLevel = Annotated[str, AfterValidator(written.topic_level)]


class Settings(
    InputSettings, LookSettings, OutputSettings, SceneSettings, HomeSettings, WebhookSettings, BaseSettings
):
    """The configuration of one daemon. Frozen: a reload builds a new one."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    # Model
    model: Path = _setting(..., "Model", "path of a .tflite", read=True)
    labels: Path | None = _setting(
        None, "Model", "labels file, one per line", shown="from the model", read=True
    )
    classes: Annotated[tuple[str, ...], BeforeValidator(written.comma_separated)] = _setting(
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
    device: Annotated[tuple[str, ...], BeforeValidator(devices.devices)] = _setting(
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
    edgetpu_options: Annotated[tuple[tuple[str, str], ...], BeforeValidator(devices.options)] = _setting(
        (),
        "Device",
        "for the library, comma separated: Performance=Low|Medium|High|Max, Usb.AlwaysDfu=True|False, "
        "Usb.MaxBulkInQueueLength=0..255",
        shown="the library's own",
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
