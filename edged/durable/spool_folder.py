"""The small files that a daemon keeps beside its spool, in the folder that EDGED_SPOOL names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from edged.contract.topics import slug
from edged.durable.atomic import replace_file
from edged.errors import EdgedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from edged.durable.owner import Owner
    from edged.settings.declared import Settings

T = TypeVar("T")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SpoolFolder:
    """How the files are called. Several daemons may share a folder, see :mod:`edged.durable.owner`.

    What goes with the name that a daemon has at the broker, its node, is found by whoever takes that name;
    what goes with the daemon itself, whatever it is called, by its origin.
    """

    path: Path

    def messages(self, node: str) -> Path:
        """What the broker has not taken."""
        return self.path / f"edged-{slug(node)}.sqlite3"

    def switched(self, node: str, camera: str) -> Path:
        """What was switched over the settings of a camera."""
        return self.path / f"edged-{slug(node)}--{slug(camera)}.switched.json"

    def names(self, origin: str) -> Path:
        """What the daemon was called at the broker."""
        return self.path / f"edged-{origin}.names.json"

    def webhook(self, origin: str, camera: str) -> Path:
        """What the webhook of a camera has not taken."""
        return self.path / f"edged-{origin}-{camera}.webhook.json"

    def tidy(self, node: str, owner: Owner, cameras: Collection[str]) -> None:
        """At a start, away with the owner's files of cameras that have another name now, or are gone."""
        if not owner.knows:
            return
        origin = owner.origin
        kept = {self.switched(node, one) for one in cameras} | {self.webhook(origin, one) for one in cameras}
        begins = f"edged-{slug(node)}--"
        try:
            for path in self.path.glob("edged-*.json"):
                # Behind another -, or --, it may be a camera of a node whose name begins like ours.
                rest = path.name.removeprefix(begins)
                named = path.match(f"{begins}*.switched.json") and rest[0] != "-" and "--" not in rest
                ours = (named and owner.has_node) or path.match(f"edged-{origin}-*.webhook.json")
                if ours and path not in kept:
                    path.unlink(missing_ok=True)
                    log.info("file_of_camera_removed", path=str(path))
        except OSError as error:
            log.warning("folder_not_tidied", path=str(self.path), reason=error.strerror)


def spool_folder(settings: Settings) -> SpoolFolder | None:
    """That of the settings; None where they name none, and nothing outlives the run."""
    return SpoolFolder(settings.spool) if settings.spool is not None else None


def read_kept(path: Path, read: Callable[[Any], T], nothing: T) -> T:
    """What ``read`` makes of the JSON in a file; ``nothing`` without one. One that is damaged is told."""
    try:
        return read(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return nothing
    except (OSError, EdgedError, ValueError, LookupError, TypeError, AttributeError) as error:
        log.warning("kept_file_unreadable", path=str(path), reason=str(error))
        return nothing


def keep(path: Path, content: Any) -> None:
    """Replace the JSON in a file. A disk that fails is told, and costs only what it was to hold."""
    try:
        replace_file(path, json.dumps(content).encode())
    except OSError as error:
        log.warning("file_not_kept", path=str(path), reason=error.strerror)
