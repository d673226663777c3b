"""Opening beside what runs what new settings want, so that a mistake in them changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edged.daemon.camera import CameraRun
from edged.model import claims

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edged.daemon.assembly import Assembly, Daemon
    from edged.settings.declared import Settings


class Prepared(NamedTuple):
    """What goes on in the place of what runs."""

    kept: dict[str, Assembly]
    """By camera that goes on: its next parts."""
    fresh: dict[str, CameraRun]
    """Cameras that there are not yet, or that want other settings than those they have failed with; open."""


async def prepare(
    wanted: Mapping[str, Settings], cameras: Mapping[str, CameraRun], daemon: Daemon
) -> Prepared:
    """Open what the settings want anew: of cameras that go on, and cameras that there are not yet.

    One that has failed and is to be as it was holds up nobody's reload: it is tried again by itself.

    Raises:
        EdgedError: a part does not open; everything is as it was.
    """
    prepared = Prepared({}, {})
    every = list(wanted.values())
    await daemon.run_unless_stopped("check-edge-tpus", lambda: claims.check(every))
    try:
        for name, settings in wanted.items():
            present = cameras.get(name)
            if present is not None and not present.over and present.failure is None:
                prepared.kept[name] = await present.prepare(settings)
            elif present is None or present.switches.written != settings:
                # A pause holds, and the account goes on, as for those that run.
                camera = CameraRun(settings, daemon, before=present)
                await camera.open()
                prepared.fresh[name] = camera
    except BaseException:
        for name, parts in prepared.kept.items():
            await cameras[name].discard(parts)
        for camera in prepared.fresh.values():
            await daemon.close(camera.closers())
        raise
    return prepared
