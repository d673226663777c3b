"""``edged schema``: the machine-readable contract of the MQTT topics and payloads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "payload", nargs="?", help="only the JSON Schema of this payload (default: the AsyncAPI 3 document)"
    )


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from edged.contract import schema  # noqa: PLC0415  # pydantic makes the schemas
    from edged.errors import ConfigError  # noqa: PLC0415

    if options.payload is None:
        print(json.dumps(schema.document(), indent=2))
        return 0
    schemas = schema.schemas()
    if options.payload not in schemas:
        raise ConfigError(
            f"there is no payload {options.payload!r}", hint=f"There are {', '.join(sorted(schemas))}"
        )
    print(json.dumps(schemas[options.payload], indent=2))
    return 0
