"""The TFLite runtimes: which are known, which is used, how to get it. The only importer of them."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from typing import Any

from edged.errors import ConfigError

AUTO = "auto"
_MODULES = {
    # Best first: ai-edge-litert runs quantised models on x86 about ten times faster than tflite-runtime 2.14.
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
NAMES = (AUTO, *_MODULES)
"""What EDGED_RUNTIME may be."""
_INSTALL = {
    "ai-edge-litert": "pip install ai-edge-litert",
    "tflite-runtime": "pip install 'edged[tflite-runtime]'",
}


@dataclass(frozen=True, slots=True)
class Runtime:
    """A runtime, imported. Both have the same interface."""

    name: str
    version: str
    interpreter: Any
    """The class ``Interpreter``."""
    load_delegate: Any
    """``load_delegate(library, options)``, for accelerators."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def load(name: str = AUTO) -> Runtime:
    """Import a runtime; ``auto`` is the first of the known ones that is installed.

    Raises:
        ConfigError: it is unknown, not installed or does not fit the other packages here.
    """
    if name == AUTO:
        name = next(filter(_installed, _MODULES), "")
        if not name:
            raise ConfigError("no TFLite runtime is installed", hint=_hint("ai-edge-litert"))
    elif name not in _MODULES:
        raise ConfigError(f"EDGED_RUNTIME={name!r} is no TFLite runtime", hint=f"Choose {', '.join(NAMES)}")
    elif not _installed(name):
        raise ConfigError(f"the TFLite runtime {name} is not installed", hint=_hint(name))
    _check_numpy(name)
    try:
        module = import_module(_MODULES[name])
    except ImportError as error:
        raise ConfigError(
            f"the TFLite runtime {name} is installed but broken: {error}", hint=_hint(name)
        ) from error
    return Runtime(name, metadata.version(name), module.Interpreter, module.load_delegate)


def _installed(name: str) -> bool:
    return find_spec(_MODULES[name].partition(".")[0]) is not None


def _hint(name: str) -> str:
    others = [other for other in _MODULES if other != name and _installed(other)]
    return f"Run: {_INSTALL[name]}" + (f", or set EDGED_RUNTIME={others[0]}" if others else "")


def _check_numpy(name: str) -> None:
    """tflite-runtime was built against numpy 1; with numpy 2 it imports and breaks in its first call."""
    numpy = metadata.version("numpy")
    if name == "tflite-runtime" and not numpy.startswith("1."):
        raise ConfigError(f"tflite-runtime needs numpy 1, here is numpy {numpy}", hint=_hint(name))
