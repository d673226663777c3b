"""How values of settings are written: sizes, regions, lists, numbers."""

from __future__ import annotations

import re
from pathlib import Path

from edged import registry


def auto(value: object) -> object:
    """``auto`` leaves the choice to edged."""
    return None if value == "auto" else value


def parts(text: str) -> tuple[str, ...]:
    """``a, b,c``."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def comma_separated(value: object) -> object:
    """The same, of what stands in an env file."""
    return parts(value) if isinstance(value, str) else value


def at_home(value: object) -> object:
    """``~/models``: the home folder, in paths; texts that may be paths stay as they are written."""
    if isinstance(value, tuple):
        return tuple(map(at_home, value))
    path = Path(value) if isinstance(value, str) and re.match("~[^/]*/", value) else value
    if not isinstance(path, Path):
        return value
    try:
        whole = path.expanduser()
    except RuntimeError as error:
        user = path.parts[0].removeprefix("~")
        raise ValueError(f"there is no home folder of {user or 'the user of edged'}; write it out") from error
    return value if isinstance(value, str) else whole


def lower_names(value: object) -> object:
    """``PORCH, gate``: names as the settings of zones end, in any case."""
    return comma_separated(value.lower() if isinstance(value, str) else value)


def whole_number(value: object) -> object:
    """Digits, for a choice among numbers."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def pixel_format(value: object) -> object:
    """Four letters as V4L2 has them, or ``auto``."""
    if not isinstance(value, str) or value == "auto":
        return auto(value)
    if re.fullmatch(r"[A-Za-z0-9]{4}", value) is None:
        raise ValueError("not four letters like MJPG")
    return value.upper()


_DECODERS = (
    "auto", "software", "amf", "cuda", "d3d11va", "d3d12va", "drm", "dxva2", "mediacodec", "ohcodec",
    "opencl", "qsv", "rkmpp", "v4l2request", "vaapi", "vdpau", "videotoolbox", "vulkan",
)  # fmt: skip
"""What EDGED_DECODER may be; but for the first two the kinds of devices that FFmpeg knows."""


def decoder(value: object) -> object:
    """``auto``, ``software``, or a kind of device, perhaps with the device: ``vaapi:/dev/dri/renderD128``."""
    if isinstance(value, str) and value.partition(":")[0] not in _DECODERS:
        raise ValueError(f"not one of {', '.join(_DECODERS)}")
    return value


def size(value: object) -> object:
    """``1280x720``."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", value.strip())
    if match is None:
        raise ValueError("not a size like 1280x720")
    return int(match[1]), int(match[2])


_MOST_TILES = 24


def tiles(value: object) -> object:
    """``3x2``: columns and rows."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,2})x(\d{1,2})", value.replace(" ", ""))
    columns, rows = (int(match[1]), int(match[2])) if match else (0, 0)
    if not 1 < columns * rows <= _MOST_TILES:
        raise ValueError(f"not columns x rows like 3x2, with 2 to {_MOST_TILES} tiles in all")
    return columns, rows


def region(value: object) -> object:
    """``x,y,width,height``."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,5}),(\d{1,5}),([1-9]\d{0,4}),([1-9]\d{0,4})", value.replace(" ", ""))
    if match is None:
        raise ValueError("not a region like 0,200,640,280")
    return tuple(int(number) for number in match.groups())


def source(value: object) -> object:
    """A URL's scheme may be written in capitals (RFC 3986, 3.1); everything else stays as it is.

    What has ``://`` in it is never the name of a file.
    """
    if not isinstance(value, str):
        return value
    if value in {"-", "pipe:", "pipe:0", "/dev/fd/0"}:  # what programs call standard input
        return "/dev/stdin"
    if re.fullmatch(r"pipe:\d+", value):
        return value.replace("pipe:", "/dev/fd/")
    if "://" not in value:
        return value
    scheme, mark, rest = value.partition("://")
    url = scheme.lower() + mark + rest
    if not url.startswith(tuple(prefix for prefix in registry.SOURCES if prefix)):
        known = ", ".join(prefix for prefix in registry.SOURCES if prefix.endswith("://"))
        file = "; a file has no scheme before its path" if scheme.lower() == "file" else ""
        raise ValueError(f"there is no source for such a URL, only for {known}{file}")
    return url


def topic_level(value: str) -> str:
    """One level of an MQTT topic."""
    bad = dict.fromkeys(one for one in value if one in "/+#" or one.isspace() or not one.isprintable())
    if bad or not value:
        found = ", ".join("a blank" if one == " " else repr(one) for one in bad) or "nothing"
        raise ValueError(
            f"it is a part of topics, where {found} cannot stand: write letters, digits, _ and -"
        )
    return value
