"""What the settings make of a node at the broker, and of what is published of a camera."""

from __future__ import annotations

import dataclasses
import socket
from typing import TYPE_CHECKING
from urllib.parse import quote

from edged.contract.topics import NodeTopics
from edged.durable.spool_folder import spool_folder
from edged.mqtt.camera.extent import Extent
from edged.mqtt.delivery.spooler import SpoolFile
from edged.mqtt.home.discovery import Announced
from edged.mqtt.link import credentials
from edged.mqtt.node import MqttNode, NodeOptions
from edged.mqtt.retained.names import Memory
from edged.settings.listener import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edged.durable.owner import Owner
    from edged.settings.declared import Settings


def extent(settings: Settings) -> Extent:
    """How much of a camera is published."""
    return Extent(
        empty=settings.mqtt_empty,
        labels=settings.classes,
        snapshot_interval_s=settings.snapshot_interval,
        zones=tuple(zone.name for zone in settings.zone) if settings.track else (),
        lines=tuple(line.name for line in settings.line),
        tracks=settings.track,
        snapshots=settings.snapshot_interval > 0 or settings.commands,
        page=_page(settings),
    )


def _page(settings: Settings) -> str:
    """Where a browser finds the camera's page; one that listens everywhere is found by the machine's name."""
    address = parse(settings.http) if settings.http else None
    if address is None or not address.port:
        return ""
    if address.host in {"0.0.0.0", "::"}:  # noqa: S104  # nothing is bound here
        address = dataclasses.replace(address, host=socket.gethostname())
    return address.url + (f"{quote(settings.camera)}/" if settings.several else "")


def announced(settings: Settings) -> Announced:
    """What Home Assistant is told of the node; only what is the same for all cameras is read."""
    return Announced(
        prefix=settings.ha_prefix,
        wanted=settings.ha_discovery,
        several=settings.several,
        expire_after_s=max(3 * settings.stats_interval, 30.0),  # three messages of timings are missing
        commands=settings.commands,
        updates=bool(settings.update_url),
    )


def node(
    settings: Settings,
    *,
    owner: Owner,
    boot_id: str,
    reload: Callable[[], str],
    named: Callable[[], Collection[str]],
) -> MqttNode:
    """The node of all cameras, not yet open.

    Args:
        settings: of one of them; what is read here is the same for all.
        owner: this daemon, among others that keep things in the same folder.
        boot_id: identity of this run.
        reload: reads the settings again; for commands, if they are obeyed.
        named: cameras that there are by the settings.

    Raises:
        ConfigError: the password or a certificate cannot be read.
    """
    spool = memory = None
    if (folder := spool_folder(settings)) is not None:
        memory = Memory(folder.names(owner.origin))
        spool = SpoolFile(
            folder.messages(settings.node),
            max_bytes=settings.spool_max_mb * 1_000_000,
            max_age_s=settings.spool_max_age,
            in_use=settings.node_in_use,
        )
    return MqttNode(
        credentials.access_for(settings),
        NodeTopics(settings.mqtt_prefix, settings.node),
        NodeOptions(
            limit=settings.mqtt_queue,
            announced=announced(settings),
            stop_timeout_s=settings.stop_timeout,
            update_url=settings.update_url or "",
        ),
        boot_id=boot_id,
        spool=spool,
        reload=reload if settings.commands else None,
        named=named,
        memory=memory,
    )
