"""Writes the manual pages edged.1 and edged.env.5 into a folder, from what the program itself declares.

Usage: manpages.py FOLDER. SOURCE_DATE_EPOCH is the date of the pages.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edged import __version__
from edged.cli import COMMANDS
from edged.errors import ConfigError, DeviceError, SinkError
from edged.settings import tables


def _text(text: str) -> str:
    """``text`` as roff shows it: a hyphen that can be copied, nothing that is a request."""
    quoted = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{quoted}" if quoted.startswith((".", "'")) else quoted


def _title(name: str, section: int) -> str:
    day = time.strftime("%Y-%m-%d", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", "0"))))  # noqa: TID251
    return f'.TH {name.upper()} {section} "{day}" "edged {__version__}"'


def program() -> str:
    """edged(1)."""
    lines = [
        _title("edged", 1),
        ".SH NAME",
        "edged \\- edge detection daemon: camera in, detections out over MQTT",
        ".SH SYNOPSIS",
        ".B edged",
        ".I command",
        ".RI [ options ]",
        ".SH DESCRIPTION",
        "edged reads a camera, a stream or a file, finds objects with a TensorFlow Lite model on the CPU",
        "or on a Coral Edge TPU, and publishes them over MQTT, with an annotated video if that is wanted.",
        ".SH COMMANDS",
        ".B edged",
        ".I command",
        ".B \\-\\-help",
        "tells the options of a command.",
    ]
    for name, summary in COMMANDS.items():
        lines += [".TP", f".B {_text(name)}", _text(summary[0].upper() + summary[1:] + ".")]
    lines += [
        ".SH OPTIONS",
        ".TP",
        ".B \\-\\-version",
        "Print the version.",
        ".TP",
        ".B \\-\\-help",
        "Print the commands.",
        ".SH EXIT STATUS",
        ".TP",
        ".B 0",
        "It did what was asked.",
        ".TP",
        f".B {DeviceError.exit_code}",
        "The camera, the device or the runtime does not answer.",
        ".TP",
        f".B {SinkError.exit_code}",
        "An output cannot be opened or written.",
        ".TP",
        f".B {ConfigError.exit_code}",
        "A setting or the model is wrong.",
        ".SH FILES",
        ".TP",
        ".I /etc/edged/edged.env",
        "Settings of edged.service, as",
        ".BR edged.env (5)",
        "describes them.",
        ".TP",
        ".I /etc/edged/NAME.env",
        "Settings of edged@NAME.service.",
        ".TP",
        ".I /var/lib/edged",
        "What the service writes.",
        ".SH SEE ALSO",
        ".BR edged.env (5),",
        ".BR systemctl (1),",
        ".BR journalctl (1)",
    ]
    return "\n".join(lines) + "\n"


def settings() -> str:
    """edged.env(5)."""
    lines = [
        _title("edged.env", 5),
        ".SH NAME",
        "edged.env \\- settings of edged",
        ".SH DESCRIPTION",
        "One",
        ".IR NAME = value",
        "a line; # begins a comment. The same names in the environment win over the file.",
        "All settings but those that are required have a default.",
    ]
    section = ""
    for setting in tables.declarations():
        if setting.section != section:
            section = setting.section
            lines += [f".SH {section.upper()}"]
        default = "required" if setting.required else f"default: {setting.default}"
        meaning = setting.help[0].upper() + setting.help[1:] + "."
        lines += [".TP", f".B {_text(setting.name)}", _text(meaning), ".br", _text(f"({default})")]
    lines += [".SH SEE ALSO", ".BR edged (1)"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "edged.1").write_text(program(), encoding="utf-8")
    (folder / "edged.env.5").write_text(settings(), encoding="utf-8")
