"""``edged forget``: take back what a node has retained at its broker, for one that goes or has a new name."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

from edged.cli import add_env_file, level
from edged.contract.words import counted
from edged.errors import ConfigError
from edged.settings import loading

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_env_file(parser)
    parser.add_argument("--node", type=level, help="a former EDGED_NODE (default: the present one)")
    parser.add_argument("--prefix", type=level, help="a former EDGED_MQTT_PREFIX (default: the present one)")
    parser.add_argument("--ha-prefix", type=level, help="a former EDGED_HA_PREFIX (default: the present one)")


def run(options: argparse.Namespace) -> int:
    """Clear the topics of the node, and its devices at Home Assistant; its daemon must not run."""
    settings = loading.load(options.env_file)
    if settings.mqtt_url is None:
        raise ConfigError(
            "EDGED_MQTT_URL is not set: there is no broker that remembers anything",
            hint="Name the env file of the daemon with --env-file",
        )

    from edged.mqtt.link import credentials  # noqa: PLC0415
    from edged.mqtt.one_shot.forget import forget  # noqa: PLC0415  # a bad setting is told before anything heavy is imported
    from edged.mqtt.retained.names import Names  # noqa: PLC0415

    access = credentials.access_for(settings)
    names = Names(
        options.prefix or settings.mqtt_prefix,
        options.node or settings.node,
        options.ha_prefix or settings.ha_prefix,
    )
    # Under another id: a daemon that runs must be found, and not be thrown out.
    count = forget(dataclasses.replace(access, client_id=f"{access.client_id}-forget"), names)
    if not count:
        print(
            f"edged: nothing retained of the node {names.node} below {names.prefix}/ was heard at "
            f"{access.broker}. Look at the name, and use the node's own user, or one that may read and write "
            "there.",
            file=sys.stderr,
        )
        return 1
    print(
        f"{counted(count, 'topic')} of the node {names.node} below {names.prefix}/ cleared at {access.broker}"
    )
    return 0
