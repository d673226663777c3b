"""Plug-ins: each is what its protocol asks for, and knows nothing of the others."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

import pytest
from house import own

from edged import registry
from edged.decoders import Decoder
from edged.engines import Engine
from edged.settings.declared import Settings
from edged.sinks import Sink
from edged.sources import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

PLUGINS = ("decoders", "engines", "sinks", "sources")
"""Folders of which every registered module stands alone."""


def plugin_modules() -> dict[str, str]:
    """Registered modules and the folder each stands in."""
    paths = [*registry.DECODERS.values(), *registry.SOURCES.values(), *registry.SINKS.values()]
    modules = {path.partition(":")[0].removeprefix("edged.") for path in paths}
    modules |= {"engines.cpu", "engines.coral.edgetpu", "sinks.memory"}
    return {module: module.partition(".")[0] for module in modules}


def test_plugins_know_nothing_of_each_other() -> None:
    plugins = plugin_modules()
    crossed = [
        f"{found.module}:{found.line} imports {target}"
        for found, target in own()
        if found.module in plugins and target in plugins and target != found.module
    ]
    assert crossed == []


def test_rooms_of_plugins_know_nothing_of_each_other() -> None:
    crossed = [
        f"{found.module}:{found.line} imports {target}"
        for found, target in own()
        if found.module.partition(".")[0] in PLUGINS
        and target.partition(".")[0] in PLUGINS
        and target.partition(".")[0] != found.module.partition(".")[0]
    ]
    assert crossed == []


def members(protocol: Any) -> set[str]:
    """What a protocol asks for: its methods and its attributes."""
    methods = {name for name, value in vars(protocol).items() if inspect.isroutine(value)}
    names = methods | protocol.__annotations__.keys()
    return {name for name in names if not name.startswith("_") and name != "create"}


def classes(table: Mapping[str, str]) -> list[tuple[str, Any]]:
    return [(name, registry.load(path)) for name, path in table.items()]


def assert_satisfies(found: Any, protocol: Any) -> None:
    source = inspect.getsource(found)
    for base in found.__mro__[1:-1]:
        source += inspect.getsource(base) if base.__module__.startswith("edged") else ""
    for name in members(protocol):
        expected = inspect.getattr_static(protocol, name, None)
        if inspect.isfunction(expected):
            actual = inspect.getattr_static(found, name)
            assert list(inspect.signature(actual).parameters) == list(inspect.signature(expected).parameters)
            assert inspect.getdoc(getattr(found, name)), f"{found.__name__}.{name} says nothing"
        else:
            assert hasattr(found, name) or re.search(rf"self\.{name}\b.* = |self\.{name}: ", source), name


@pytest.mark.parametrize(("name", "found"), classes(registry.DECODERS))
def test_every_decoder_is_one(name: str, found: Any) -> None:
    assert name
    assert_satisfies(found, Decoder)
    assert len(inspect.getdoc(found) or "") > 200, "its docstring is the layout of the tensors"


@pytest.mark.parametrize(("prefix", "found"), classes(registry.SOURCES))
def test_every_source_is_one(prefix: str, found: Any) -> None:
    assert_satisfies(found, Source)
    assert list(inspect.signature(found.create).parameters) == ["settings"]
    assert prefix == "" or list(registry.SOURCES)[-1] == "", "the empty prefix fits everything: it comes last"


@pytest.mark.parametrize(("setting", "found"), classes(registry.SINKS))
def test_every_sink_is_one(setting: str, found: Any) -> None:
    assert_satisfies(found, Sink)
    assert list(inspect.signature(found.create).parameters) == ["settings", "context"]
    assert setting in Settings.model_fields, "the setting that switches it on"
    assert Settings.model_fields[setting].default is None


@pytest.mark.parametrize("path", ["edged.engines.cpu:CpuEngine", "edged.engines.coral.edgetpu:EdgeTpuEngine"])
def test_every_engine_is_one(path: str) -> None:
    assert_satisfies(registry.load(path), Engine)
