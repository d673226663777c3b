"""The settings of MQTT: the broker, names, what is kept while it is away, Home Assistant."""

from __future__ import annotations

import socket
from pathlib import Path  # noqa: TC003  # pydantic reads the annotations
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel

from edged.settings import syntax
from edged.settings.broker import parse_url
from edged.settings.field import MOST, parsed_by, setting
from edged.settings.http_url import checked


def _node() -> str:
    return socket.gethostname().split(".")[0] or "edged"


_TopicLevel = Annotated[str, AfterValidator(syntax.topic_level)]


class MqttSettings(BaseModel):
    """What is published where, obeyed, and kept while nobody takes it."""

    mqtt_url: Annotated[str, parsed_by(parse_url)] | None = setting(
        None, "mqtt://user@host:1883 or mqtts://user@host:8883"
    )
    mqtt_password_file: Path | None = setting(
        None, "file that holds the password", read=True, needs="mqtt_url"
    )
    mqtt_version: Literal["5", "3.1.1"] = setting("5", "protocol version: 5 or 3.1.1", needs="mqtt_url")
    mqtt_prefix: _TopicLevel = setting("edged", "first topic level", needs="mqtt_url")
    mqtt_empty: bool = setting(True, "publish frames without detections, too", needs="mqtt_url")
    mqtt_queue: int = setting(
        1000, "messages kept in memory while the broker is away", ge=1, le=1_000_000, needs="mqtt_url"
    )
    mqtt_keepalive: int = setting(
        15, "seconds after which a silent broker counts as gone", ge=1, le=65535, needs="mqtt_url"
    )
    mqtt_ca: Path | None = setting(
        None, "CA certificates (PEM) for mqtts", shown="the system's", read=True, needs="mqtt_url"
    )
    mqtt_cert: Path | None = setting(None, "client certificate (PEM) for mqtts", read=True, needs="mqtt_url")
    mqtt_key: Path | None = setting(None, "key of the client certificate (PEM)", read=True, needs="mqtt_url")
    node: _TopicLevel = setting(_node, "node id in topics", shown="the host name")
    camera: _TopicLevel = setting("camera", "camera id in topics")
    spool: Path | None = setting(
        None,
        "folder that keeps detections and events on disk while the broker is away, and over a kill which "
        "events are open and how often lines were crossed",
        needs="mqtt_url|webhook_url",
    )
    spool_max_mb: int = setting(
        100,
        "megabytes the spool may take; the oldest goes first",
        ge=1,
        le=int(MOST),
        needs=("spool", "mqtt_url"),
    )
    spool_max_age: float = setting(
        604800.0,
        "seconds of running after which spooled messages are dropped",
        gt=0,
        le=MOST,
        needs=("spool", "mqtt_url"),
    )
    snapshot_interval: float = setting(
        0.0,
        "seconds between snapshots (annotated JPEG) while something is seen; 0: none",
        ge=0,
        le=MOST,
        needs="mqtt_url",
    )
    commands: bool = setting(
        False,
        "obey commands under <base>/cmd/: snapshot, pause, resume, reload, and detection, recording, "
        "threshold and model, which take a value",
        needs="mqtt_url",
    )
    ha_discovery: bool = setting(False, "announce entities to Home Assistant", needs="mqtt_url")
    ha_prefix: _TopicLevel = setting("homeassistant", "Home Assistant's discovery prefix", needs="mqtt_url")
    label_days: float = setting(
        30.0,
        "days after which a label that was not seen again has no topics and entities any more, unless "
        "EDGED_CLASSES names it; 0: they stay",
        ge=0,
        le=36500,
        needs="mqtt_url",
    )
    update_url: Annotated[str, AfterValidator(checked)] | None = setting(
        None,
        "http:// or https:// address of a JSON object with the newest version of edged (version, and url "
        "of its notes), asked once a day; Home Assistant then has an update entity",
        shown="none: nobody is asked",
        needs="mqtt_url",
    )
