"""``edged check``: settings, model, device, source, broker and outputs, one line each, with the mend."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from edged import config
from edged.errors import ConfigError, DeviceError, EdgedError, ModelError, SourceError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from edged.config import Settings


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="settings, NAME=value a line; the environment wins"
    )


def run(options: argparse.Namespace) -> int:
    """Check everything; 78 if something must be corrected, else 69 if something does not answer, else 0."""
    settings = config.load(options.env_file)
    print(f"ok    settings: {len(settings.model_fields_set)} set, the others have their defaults")

    from edged import logs  # noqa: PLC0415  # a bad setting is told before anything heavy is imported

    logs.configure(log_format=settings.log_format, level="error")
    checks: dict[str, Callable[[Settings], str]] = {"model": _model, "source": _source}
    if settings.mqtt_url is not None:
        checks["broker"] = _broker
    checks["outputs"] = _outputs
    worst = 0
    for name, check in checks.items():
        try:
            print(f"ok    {name}: {check(settings)}")
        except EdgedError as error:
            print(f"WRONG {name}: {error}")
            worst = max(
                worst,
                error.exit_code if isinstance(error, ConfigError | ModelError) else DeviceError.exit_code,
            )
    return worst


def _model(settings: Settings) -> str:
    from edged import detector  # noqa: PLC0415

    loaded = detector.load(settings)
    try:
        engine = loaded.engines[0]
        tensor = loaded.preprocess.new_input()
        tensor.fill(0)
        engine.invoke(tensor)
        started = time.perf_counter()
        engine.invoke(tensor)
        took_ms = 1e3 * (time.perf_counter() - started)
        classes = len(loaded.decoder.labels)
        return (
            f"{loaded.model.name} on {engine.device} with {engine.runtime}, {took_ms:.1f} ms an invoke, "
            f"{classes or 'no'} labels" + (f"; {engine.degraded}" if engine.degraded else "")
        )
    finally:
        loaded.close()


def _source(settings: Settings) -> str:
    from edged import sources  # noqa: PLC0415

    source = sources.create(settings)
    try:
        source.open()
        first = next(iter(source.frames()), None)
        if first is None:
            raise SourceError(
                f"the source {settings.source!r} gives no frame", mend="Look at what it holds with 'ffprobe'"
            )
        kind = ", ".join(f"{name} {value}" for name, value in source.properties().items())
        return f"a frame of {first.width}x{first.height} came ({kind})"
    finally:
        source.stop()
        source.close()


def _broker(settings: Settings) -> str:
    from edged.mqtt import probe  # noqa: PLC0415

    return probe.check(settings)


def _outputs(settings: Settings) -> str:
    from edged import registry, sinks  # noqa: PLC0415
    from edged.metrics import Meter  # noqa: PLC0415

    context = sinks.Context(Meter(), sinks.NoControl(), boot_id="0" * 32, waits=True)
    checked = []
    for setting, path in registry.SINKS.items():
        # The broker has a line of its own: it may be away without harm, an output may not.
        if getattr(settings, setting) and setting != "mqtt_url":
            sink = registry.load(path).create(settings, context)
            sink.open()
            sink.close()
            checked.append(f"{sink.name} can be written")
    return ", ".join(checked) or ("only the broker" if settings.mqtt_url else "none; results go nowhere")
