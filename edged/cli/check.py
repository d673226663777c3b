"""``edged check``: settings, model, device, source, broker and outputs, one line each, with the hint."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING

from edged import registry
from edged.cli import add_env_file
from edged.daemon.unit import unit_of
from edged.errors import ConfigError, DeviceError, EdgedError, SinkError, SourceError
from edged.settings import idle, loading

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edged.daemon.unit import Unit
    from edged.settings.declared import Settings

_OF_SYSTEMD = range(200, 255)
"""Exit codes that are systemd's: it could not make what the unit wants, see systemd.exec(5)."""
_CUT_OFF = {1, 255}
"""What systemd-run ends with if the check was killed, by a limit or a signal."""
_NOT_MADE = {
    200: "the folder of WorkingDirectory= cannot be entered",
    203: "the program of ExecStart= cannot be started",
    216: "the group of Group= or SupplementaryGroups= does not exist",
    217: "the user of User= does not exist",
    226: "its file systems cannot be made; ReadWritePaths=, BindPaths= or the like names what is not there",
    228: "SystemCallFilter= or RestrictNamespaces= cannot be put in force",
    232: "RestrictAddressFamilies= cannot be put in force",
    238: "StateDirectory= cannot be made",
    243: "LoadCredential= or the like names what cannot be read",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_env_file(parser)
    parser.add_argument(
        "--here", action="store_true", help="as this user, and not as the service that has this env file"
    )


def run(options: argparse.Namespace) -> int:
    """Check everything; the exit code is that which ``edged run`` would end with, the highest of several.

    A broker or a webhook that does not answer is 69 here, and nothing that ``edged run`` ends for. The env
    file of an installed service is checked as that service: it sees less than root does.
    """
    if options.env_file is not None and not options.here:
        code = _as_service(options.env_file)
        if code is not None:
            return code
    cameras = loading.load_all(options.env_file)
    first = cameras[0]
    for settings in cameras:
        words = f"{len(settings.model_fields_set)} set, the others have their defaults"
        print(f"ok    {_of(settings)}settings: {words}")
    _notes(cameras)

    from edged.daemon import logs  # noqa: PLC0415  # a bad setting is told before anything heavy is imported

    logs.configure(log_format=first.log_format, level="error")
    worst = _claims(cameras)
    for settings in cameras:
        inputs: dict[str, Callable[[Settings], str]] = {"model": _model, "source": _source}
        if settings.detect_source is not None:
            inputs = {"model": _model, "detect_source": _source, "source": _recorded}
        worst = max(worst, _edge_tpu(settings), _tell(inputs, settings))
    if first.mqtt_url is not None:
        worst = max(worst, _tell({"broker": _broker}, first, whose=""))
    for settings in cameras:
        if settings.webhook_url is not None:
            worst = max(worst, _tell({"webhook": _webhook}, settings))
        worst = max(worst, _tell(_outputs(settings, once=settings is first), settings))
        if not any(getattr(settings, name) for name in registry.SINKS):
            print(f"ok    {_of(settings)}outputs: none; results go nowhere")
    return worst


def _notes(cameras: Sequence[Settings]) -> None:
    """Lines of what has no effect."""
    for camera, note in idle.by_camera(cameras):
        print(f"note  {camera}{' ' if camera else ''}settings: {note}")


def _as_service(env_file: Path) -> int | None:
    """The exit code of the same check under the unit that has this env file; None if that cannot be."""
    unit = unit_of(env_file)
    if unit is None:
        return None
    if os.geteuid() != 0:
        print(f"note  {unit.name} may do less than you: 'sudo edged check' looks as the service")
        return None
    print(f"note  as {unit.name} sees it, which may do less than you; --here looks as you", flush=True)
    ended = _as(unit, ["check", "--here", "--env-file", str(env_file.resolve())], loading.values_of(env_file))
    sys.stderr.write(ended.stderr)
    if why := cut_short(ended.returncode):
        print(
            f"WRONG {unit.name}: this check did not come to its end ({ended.returncode}): {why}. "
            "'journalctl -n 20' tells more; with --here it looks as you"
        )
    return ended.returncode


def cut_short(code: int) -> str:
    """Why a check under a unit has ended before its end, by its exit code; empty if it has not."""
    if code in _OF_SYSTEMD:
        return _NOT_MADE.get(code, "systemd cannot make what the unit asks for, see systemd.exec(5)")
    return "what the unit allows ended it, as MemoryMax= or SystemCallFilter=" if code in _CUT_OFF else ""


def _as(unit: Unit, arguments: list[str], values: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run this edged as the unit would, to its end; what it prints on the way is seen."""
    while True:
        ended = subprocess.run(  # noqa: S603  # the unit is the administrator's
            unit.command(arguments, values), check=False, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        unknown = re.match(r"Unknown assignment: (\w+)=", ended.stderr)
        if unknown is None or unit == unit.without(unknown[1]):
            return ended
        print(f"note  {unit.name} says {unknown[1]}=, which this systemd passes over", flush=True)
        unit = unit.without(unknown[1])


def _of(settings: Settings) -> str:
    """What the lines of one of several cameras begin with."""
    return f"{settings.camera} " if settings.several else ""


def _outputs(settings: Settings, *, once: bool) -> dict[str, Callable[[Settings], str]]:
    """Checks of the outputs, with ``once`` of those that all cameras share, too.

    The broker and the webhook have lines of their own: they may be away without harm, an output may not.
    """
    left_out = {"mqtt_url", "webhook_url"} if once else {"mqtt_url", "webhook_url", "http"}
    outputs = {name: path for name, path in registry.SINKS.items() if name not in left_out}
    checks = {name: partial(_output, path) for name, path in outputs.items()} | {"output": _video}
    if once:
        checks["spool"] = _spool
    return {name: check for name, check in checks.items() if getattr(settings, name)}


def _tell(
    checks: Mapping[str, Callable[[Settings], str]], settings: Settings, *, whose: str | None = None
) -> int:
    """Do checks, each with a line, and one for each note below it; the worst exit code."""
    worst = 0
    begins = _of(settings) if whose is None else whose
    for name, check in checks.items():
        try:
            text, *notes = check(settings).splitlines()
            print(f"ok    {begins}{name}: {text}")
            for note in notes:
                print(f"note  {begins}{name}: {note}")
        except EdgedError as error:
            print(f"WRONG {begins}{name}: {error}")
            worst = max(worst, error.exit_code)
    return worst


def _claims(cameras: Sequence[Settings]) -> int:
    """A line where two cameras want one Edge TPU in different ways; the exit code."""
    from edged.model import claims  # noqa: PLC0415

    try:
        claims.check(cameras)
    except ConfigError as error:
        print(f"WRONG devices: {error}")
        return error.exit_code
    return 0


def _edge_tpu(settings: Settings) -> int:
    """Every link to an Edge TPU on a line of its own, if the model wants one; the exit code."""
    from edged.engines.coral import precheck  # noqa: PLC0415
    from edged.model import detector, file  # noqa: PLC0415

    try:
        wanted = settings.device != ("cpu",) and file.read(settings.model).edgetpu
    except EdgedError:
        return 0  # what is wrong with the file is told by the line of the model
    if not wanted:
        return 0
    # Before the model: each of them opens the device.
    findings = precheck.report(settings.model, detector.accesses(settings))
    for found in findings:
        words = {"ok": "ok   ", "note": "note ", "problem": "WRONG"}[found.state]
        print(
            f"{words} {_of(settings)}{found.link}: {found.text}" + (f". {found.hint}." if found.hint else "")
        )
    return 0 if all(found.ok for found in findings) else DeviceError.exit_code


def _model(settings: Settings) -> str:
    from edged.daemon.assembly import admission  # noqa: PLC0415
    from edged.model import detector, unknown_labels  # noqa: PLC0415

    admitting = admission(settings)
    loaded = detector.load(settings)
    try:
        engine = loaded.engines[0]
        tensor = loaded.preprocess.new_input()
        tensor.fill(0)
        engine.invoke(tensor)
        started = time.perf_counter()
        engine.invoke(tensor)
        took_ms = 1e3 * (time.perf_counter() - started)
        looks = ""
        if admitting is not None and admitting.looks != (1, 1):
            least, most = admitting.looks
            count = f"{most}" if least == most else f"{least} to {most}"
            looks = f" and {count} invokes a frame ({took_ms * most:.0f} ms at the most)"
        return (
            f"{loaded.model.name} on {engine.device} with {engine.runtime}, {took_ms:.1f} ms an invoke"
            f"{looks}, {_labels(loaded.decoder.labels)}"
            + (f"; {engine.degraded}" if engine.degraded else "")
            + "".join(f"\n{note}" for note in unknown_labels.harmless(settings, loaded.decoder.labels))
            + _not_used(settings)
        )
    finally:
        loaded.close()


def _labels(labels: Sequence[str]) -> str:
    from edged.contract import words  # noqa: PLC0415
    from edged.decoders.labels import nameless  # noqa: PLC0415

    if nameless(labels):
        classes = words.counted(len(labels), "class", "classes")
        return f"{classes} without names: EDGED_LABELS takes a file of them"
    return words.counted(len(labels), "label") if labels else "no labels"


def _not_used(settings: Settings) -> str:
    """A line if EDGED_MODEL_CPU is for nothing."""
    from edged.model import file  # noqa: PLC0415

    if settings.model_cpu is None or file.read(settings.model).edgetpu:
        return ""
    return f"\nEDGED_MODEL_CPU does nothing: {settings.model.name} is not compiled for the Edge TPU"


def _source(settings: Settings) -> str:
    from edged import sources  # noqa: PLC0415

    sources.require_packets(settings)
    settings = sources.looked_at(settings)
    with sources.named(settings):
        return _first_frame(settings)


def _first_frame(settings: Settings) -> str:
    from edged import sources  # noqa: PLC0415
    from edged.settings.secrets import shown  # noqa: PLC0415
    from edged.sources.decoding import hardware  # noqa: PLC0415

    source = sources.create(settings)
    try:
        source.open()
        first = next(iter(source.frames()), None)
        if first is None:
            raise SourceError(
                f"the source {shown(settings.source)} gives no frame",
                hint="Look at what it holds with 'ffprobe'",
            )
        told = source.properties()
        if sources.copies(settings) and settings.detect_source is None and told["kind"] == "stream":
            sources.require_copied(told.get("codec", ""))
        kind = ", ".join(f"{name} {value}" for name, value in told.items())
        words = [f"a frame of {first.width}x{first.height} came ({kind})"]
        if "codec" in told:
            words.append(f"{told.get('decoder', hardware.SOFTWARE)} decodes, {hardware.library()}")
        words.append(getattr(source, "degraded", ""))
        if settings.motion == "packets" and not sources.watches_packets(told):
            words.append("it has no packets of H.264 or HEVC to watch: EDGED_MOTION works as pixels")
        return "; ".join(filter(None, words))
    finally:
        source.stop()
        source.close()


def _recorded(settings: Settings) -> str:
    from edged import sources  # noqa: PLC0415

    stream = sources.passing(settings)
    stream.open()
    try:
        stream.wait(settings.open_timeout)
        sources.require_copied(stream.codec)
        width, height = stream.size or (0, 0)
        return f"packets of {width}x{height} came, to be recorded"
    finally:
        stream.close()


def _broker(settings: Settings) -> str:
    from edged.mqtt.link import credentials  # noqa: PLC0415
    from edged.mqtt.one_shot import probe  # noqa: PLC0415

    try:
        return probe.check(credentials.access_for(settings))
    except SinkError as error:  # a broker that is away ends no run: it is one more thing that does not answer
        raise DeviceError(error.problem, hint=error.hint) from error


def _webhook(settings: Settings) -> str:
    from edged.sinks import webhook  # noqa: PLC0415

    try:
        return webhook.check(settings)
    except SinkError as error:  # as with the broker
        raise DeviceError(error.problem, hint="Look at EDGED_WEBHOOK_URL, and at the server") from error


def _output(path: str, settings: Settings) -> str:
    from edged import sinks  # noqa: PLC0415
    from edged.metrics import Meter  # noqa: PLC0415

    context = sinks.Context(Meter(), sinks.NoControl(), boot_id="0" * 32)
    sink = registry.load(path).create(settings, context)
    sink.open()
    sink.close()
    return f"{sink.name} can be written"


def _video(settings: Settings) -> str:
    from edged.sinks import video  # noqa: PLC0415

    told = _output(registry.SINKS["output"], settings)
    return "\n".join(filter(None, (told, video.shortage(settings))))


def _spool(settings: Settings) -> str:
    from edged.durable.spool_folder import spool_folder  # noqa: PLC0415

    folder = spool_folder(settings)
    assert folder is not None  # noqa: S101  # it is only looked at if it is set
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.path).close()
    except OSError as error:  # as with the broker
        raise DeviceError(
            f"the spool {str(folder.path)!r} cannot be written: {error.strerror}",
            hint="Set EDGED_SPOOL to a folder that the user of edged may write (services: in /var/lib/edged)",
        ) from error
    return "it can be written"
