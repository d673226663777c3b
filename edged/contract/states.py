"""What the states say: of the whole daemon, and of each of several cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from edged.contract.payloads import (
    SCHEMA,
    BootId,
    CameraName,
    CommandCounts,
    Lifecycle,
    Messages,
    Timestamp,
    Version,
    messages,
)

if TYPE_CHECKING:
    from edged.metrics import Delivery
    from edged.records import State


class ControlValues(TypedDict):
    """What can be switched, and how it is set; the model and a pause stand beside it."""

    recording: Annotated[bool | None, Field(description="null where there is nothing to switch")]
    threshold: Annotated[float | None, Field(description="EDGED_SCORE_THRESHOLD, or what it was set to")]
    models: Annotated[list[str], Field(description="names of those that can be chosen")]


class NewestVersion(TypedDict):
    """The newest version of edged, as EDGED_UPDATE_URL tells of it."""

    version: Annotated[str | None, Field(description="null while it is not known")]
    url: Annotated[str | None, Field(description="its notes")]
    problem: Annotated[str, Field(description="why it could not be asked for last time; empty when it could")]


class _Doing(TypedDict):
    """What both states say."""

    schema: Version
    boot_id: BootId
    ts: Timestamp
    lifecycle: Lifecycle
    device: str
    runtime: str
    model: str
    config_hash: str
    source: Annotated[dict[str, Any], Field(description="what the source says of itself")]
    degraded: Annotated[list[str], Field(description="reasons, one sentence each; empty when all is well")]
    controls: ControlValues


class StateMessage(_Doing):
    """What the daemon is doing; of several cameras what they have in common, see their own states."""

    cameras: Annotated[list[str], Field(description="the cameras of the node")]
    version: str
    camera_online: bool
    started: Annotated[float, Field(description="when edged was started, UTC, seconds since the epoch")]
    messages: Messages
    commands: CommandCounts
    newest: NotRequired[NewestVersion]


class CameraStateMessage(_Doing):
    """What one of several cameras is doing."""

    camera: CameraName
    online: Annotated[bool, Field(description="whether the source gives frames")]


def state(
    record: State,
    *,
    cameras: list[str],
    boot_id: str,
    delivery: Delivery,
    commands: CommandCounts,
    started: float,
    now: float,
    newest: NewestVersion | None = None,
) -> StateMessage:
    """What the daemon is doing; ``started`` and ``now`` are UTC in seconds."""
    message: StateMessage = {
        **_doing(record, boot_id, now),  # type: ignore[typeddict-item]  # it has no "newest"
        "cameras": cameras,
        "version": record.version,
        "camera_online": record.camera_online,
        "started": round(started, 3),
        "messages": messages(delivery),
        "commands": commands,
    }
    if newest is not None:
        message["newest"] = newest
    return message


def camera_state(record: State, *, camera: str, boot_id: str, now: float) -> CameraStateMessage:
    """What one of several cameras is doing; ``now`` is UTC in seconds."""
    return {**_doing(record, boot_id, now), "camera": camera, "online": record.camera_online}


def _doing(record: State, boot_id: str, now: float) -> _Doing:
    return {
        "schema": SCHEMA,
        "boot_id": boot_id,
        "ts": round(now, 3),
        "lifecycle": record.lifecycle,  # type: ignore[typeddict-item]  # the record's own words
        "device": record.device,
        "runtime": record.runtime,
        "model": record.model,
        "config_hash": record.config_hash,
        "source": dict(record.source),
        "degraded": list(record.degraded),
        "controls": controls(record),
    }


def controls(record: State) -> ControlValues:
    """What can be switched, and how it is set."""
    found = record.controls
    return {"recording": found.recording, "threshold": found.threshold, "models": list(found.models)}
