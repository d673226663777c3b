"""The command line: the only room that prints or exits. One module a command, imported when asked for."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING

from edged import __version__
from edged.errors import EdgedError, SinkError

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = {
    "run": "run the daemon",
    "demo": "the whole job with nothing to set up",
    "check": "check settings, model, source, broker and output, and say how to mend what is wrong",
    "bench": "measure the pipeline against the bare model",
    "devices": "list cameras and Edge TPUs with the setting for each",
    "env": "print the complete commented env file",
    "models": "list and pull models, inspect a .tflite, try one on a picture",
    "events": "print what has happened: who came, where, how long",
    "fleet": "show how all nodes of a broker are",
    "render": "draw what was found into a copy of a recorded segment",
    "forget": "take back what a node has retained at its broker",
    "schema": "print the machine-readable contract of the MQTT topics",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    _fill_descriptors()
    parser = argparse.ArgumentParser(
        prog="edged",
        description="Edge detection daemon: frames in, TFLite detections out over MQTT and annotated video.",
    )
    parser.add_argument("--version", action="version", version=f"edged {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    # Only the module of the command that is meant is imported: 'edged --help' must answer at once.
    asked = next((argument for argument in arguments if argument in COMMANDS), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == asked:
            import_module(f"edged.cli.{name}").configure(command)
    options = parser.parse_args(arguments)
    try:
        code: int = import_module(f"edged.cli.{options.command}").run(options)
    except EdgedError as error:
        _complain(f"edged: {error}")
        code = error.exit_code
    except BrokenPipeError:  # whoever read our output has heard enough ('edged env | head')
        code = 0
    except KeyboardInterrupt:
        code = 130
    except Exception as error:  # noqa: BLE001  # the last place where it can be told
        if isinstance(error, OSError) and _was_printing(error):
            return _unwritten(error)
        from edged.settings import secrets  # noqa: PLC0415  # 'edged --help' must answer at once

        _complain(secrets.of_traceback(traceback.format_exc().rstrip()))
        code = 1
    return _flushed(code)


def add_env_file(parser: argparse.ArgumentParser) -> None:
    """Add ``--env-file``, which most commands have."""
    from pathlib import Path  # noqa: PLC0415  # 'edged --help' must answer at once

    parser.add_argument(
        "--env-file", type=Path, metavar="FILE", help="settings, NAME=value a line; the environment wins"
    )


def whole(least: int, most: int) -> Callable[[str], int]:
    """The type of an option that is a whole number, in these bounds."""

    def read(text: str) -> int:
        with suppress(ValueError):
            if least <= (value := int(text)) <= most:
                return value
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not a whole number from {least} to {most}")

    return read


def above_zero(most: float, unit: str = "a number") -> Callable[[str], float]:
    """The type of an option that is more than nothing, and so much at the most."""

    def read(text: str) -> float:
        with suppress(ValueError):
            if 0 < (value := float(text)) <= most:  # which "nan" is not
                return value
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is not {unit}, more than 0 and up to {most:g}")

    return read


def level(text: str) -> str:
    """The type of an option that is one level of a topic."""
    from edged.settings import syntax  # noqa: PLC0415  # 'edged --help' must answer at once

    try:
        return syntax.topic_level(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text[:40]!r}: {error}") from error


def _complain(text: str) -> None:
    """Tell why it ends; in the journal every line of it as an error, for 'journalctl -p err'."""
    from edged.settings import systemd  # noqa: PLC0415  # 'edged --help' must answer at once

    if systemd.service_manager().journal:
        text = "\n".join(f"<3>{line}" for line in text.splitlines())
    print(text, file=sys.stderr)


def _fill_descriptors() -> None:
    """Keep what is opened next from standing where a closed standard error is, which libraries write to."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # it stays open


def _was_printing(error: OSError) -> bool:
    """Whether an error is one of standard output: modules of this room open no file by themselves."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return error.filename is None and str(frame.f_globals.get("__name__")).startswith(__name__)


def _flushed(code: int) -> int:
    """Flush now, when it can still be told that it did not work; the exit code."""
    try:
        getattr(sys.stdout, "flush", int)()  # there may be no standard output at all
    except OSError as error:
        told = _unwritten(error)
        return code or told
    return code


def _unwritten(error: OSError) -> int:
    """Tell why standard output is not written, unless it is only that nobody listens; the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if isinstance(error, BrokenPipeError):
        return 0
    print(f"edged: standard output cannot be written: {error.strerror}.", file=sys.stderr)
    return SinkError.exit_code
