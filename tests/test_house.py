"""The rules of the house: who may import whom, where threads come from, how large a module may be."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from daemon import ROOT, environment

from edged import registry
from edged.cli import COMMANDS
from edged.config import Settings
from edged.decoders import Decoder
from edged.engines import Engine
from edged.sinks import Sink
from edged.sources import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PACKAGE = ROOT / "edged"
MOST_LINES = 400
PLUGINS = ("decoders", "engines", "sinks", "sources")
"""Folders of which every registered module stands alone."""
LEAVES = frozenset({"engines.address", "http.address", "mqtt.url", "sources.url"})
"""What settings are checked with: they import nothing but errors, and so may be imported by everybody."""
FLOORS = (
    {"errors", "records", "registry", *LEAVES},
    {"notation", "settings", "config"},
    {
        "bridge",
        "catalog",
        "channel",
        "flatbuffer",
        "host",
        "imaging",
        "logs",
        "metrics",
        "modelfile",
        "notify",
    }
    | {"picture", "videonodes"},
    {"decoders", "engines", "http", "mqtt", "sinks", "sources", "video"},
    {"detector", "devices"},
    {"pipeline"},
    {"assembly", "benchmark", "smallbroker"},
    {"demo", "service"},
    {"cli"},
    {"__main__"},
)
"""From the ground up: a module imports from its own floor or from those below."""


class Import(NamedTuple):
    """One import of one module."""

    module: str
    """Who imports, without ``edged.``."""
    target: str
    """What, in full; for a name out of a module of edged that module."""
    for_types: bool
    line: int


def dotted(path: Path) -> str:
    parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imports() -> list[Import]:
    """Every import anywhere in the package."""
    found = []
    for module, path in MODULES.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for_types = {
            id(inner)
            for node in ast.walk(tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        found += [
            Import(module, target, id(node) in for_types, node.lineno)
            for node in ast.walk(tree)
            if isinstance(node, ast.Import | ast.ImportFrom)
            for target in targets(node)
        ]
    return found


def targets(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    assert node.level == 0, "imports are absolute"
    assert node.module is not None
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        yield inner if inner.removeprefix("edged.") in MODULES else node.module


def own() -> Iterator[tuple[Import, str]]:
    """Imports of edged's own modules, with what is imported but for ``edged.``."""
    for found in imports():
        if found.target.startswith("edged."):
            yield found, found.target.removeprefix("edged.")


def floor(module: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if module in rooms or (module.partition(".")[0] in rooms and module not in LEAVES):
            return number
    raise AssertionError(f"edged/{module} has no place in the house: give it one in FLOORS")


def test_every_module_has_its_place() -> None:
    for module in MODULES:
        if module:
            floor(module)


def test_imports_point_one_way() -> None:
    upwards = [
        f"{found.module}:{found.line} imports {target}"
        for found, target in own()
        if floor(found.module) < floor(target) and not found.for_types
    ]
    assert upwards == []


def test_nobody_below_knows_the_pipeline_the_service_or_the_command_line_even_by_type() -> None:
    """Types of a room above are known only where it lends itself: records know the figures they carry."""
    high = next(number for number, rooms in enumerate(FLOORS) if "pipeline" in rooms)
    upwards = [
        f"{found.module}:{found.line} imports {target}"
        for found, target in own()
        if floor(target) >= high > floor(found.module)
    ]
    assert upwards == []


def test_imports_have_no_cycle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for found, target in own():
        if not found.for_types:
            graph[found.module].add(target)
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way, module))
        if module not in done:
            for target in graph[module]:
                visit(target, (*way, module))
            done.add(module)

    for module in list(graph):
        visit(module, ())


def test_leaves_import_nothing_but_errors() -> None:
    for found, target in own():
        assert found.module not in LEAVES or target == "errors", found


def plugin_modules() -> dict[str, str]:
    """Registered modules and the folder each stands in."""
    paths = [*registry.DECODERS.values(), *registry.SOURCES.values(), *registry.SINKS.values()]
    modules = {path.partition(":")[0].removeprefix("edged.") for path in paths}
    modules |= {"engines.cpu", "engines.edgetpu", "sinks.memory"}
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


def test_only_engines_import_a_runtime() -> None:
    """They load it by name, so that a missing one hurts only who uses it."""
    for found in imports():
        assert not found.target.startswith(("ai_edge_litert", "tflite_runtime", "pycoral")), found
    named = [
        module
        for module, path in MODULES.items()
        if re.search(r"ai_edge_litert\.|tflite_runtime\.|pycoral\.utils", path.read_text(encoding="utf-8"))
    ]
    assert named
    assert all(module.startswith("engines.") for module in named), named


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        ("paho", ("mqtt", "demo")),
        ("amqtt", ("smallbroker",)),
        ("av", ("sources", "video", "demo")),
        ("tornado", ("http",)),
        ("pydantic", ("config", "settings", "mqtt.payloads", "mqtt.contract")),
        ("pydantic_settings", ("settings",)),
        ("dotenv", ("config",)),
        ("sqlite3", ("mqtt.spool",)),
        ("argparse", ("cli",)),
    ],
)
def test_each_library_is_known_in_one_place(library: str, rooms: tuple[str, ...]) -> None:
    used = {found.module for found in imports() if found.target.partition(".")[0] == library}
    assert used, f"{library} is used nowhere"
    elsewhere = {module for module in used if not module.startswith(rooms)}
    assert elsewhere == set()


def test_registry_holds_strings_only() -> None:
    assert [found.target for found in imports() if found.module == "registry"] == [
        "__future__",
        "importlib",
        "typing",
    ]


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


@pytest.mark.parametrize("path", ["edged.engines.cpu:CpuEngine", "edged.engines.edgetpu:EdgeTpuEngine"])
def test_every_engine_is_one(path: str) -> None:
    assert_satisfies(registry.load(path), Engine)


def test_no_module_is_too_long_to_be_read() -> None:
    lengths = {module: path.read_text(encoding="utf-8").count("\n") for module, path in MODULES.items()}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_room_is_a_lumber_room() -> None:
    lumber = re.compile(r"util|helper|common|misc|manager|handler\b", re.IGNORECASE)
    assert [module for module in MODULES if lumber.search(module)] == []
    names = [
        f"{module}.{node.name}"
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and re.search(r"(Manager|Helper|Util|Utils)$", node.name)
    ]
    assert [name for name in names if name != "config.ServiceManager"] == [], "that one is systemd's"


def test_every_command_has_a_module_and_every_module_is_a_command() -> None:
    modules = {module.removeprefix("cli.") for module in MODULES if module.startswith("cli.")}
    assert modules == set(COMMANDS)


def test_modules_only_define_when_they_are_imported() -> None:
    """No module of edged prints, starts a thread or a process, or opens anything by being imported."""
    script = """
import pkgutil, sys, threading, importlib, warnings
warnings.simplefilter("ignore")
import edged
for module in pkgutil.walk_packages(edged.__path__, "edged."):
    if not module.name.endswith("__main__") and not module.name.startswith("edged.models"):
        importlib.import_module(module.name)
assert threading.active_count() == 1, threading.enumerate()
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("", "")


HEAVY = ("numpy", "cv2", "av", "pydantic", "paho", "structlog", "tornado", "amqtt", "ai_edge_litert")


def heavy_modules(*arguments: str) -> list[str]:
    """Heavy packages that a command has imported when it ends."""
    script = (
        "import atexit, sys\n"
        f"found = lambda: [name for name in {HEAVY!r} if name in sys.modules]\n"
        "atexit.register(lambda: print('HEAVY', found(), file=sys.stderr))\n"
        f"from edged.cli import main\nsys.exit(main({list(arguments)!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    found: list[str] = ast.literal_eval(done.stderr.rpartition("HEAVY ")[2])
    return found


@pytest.mark.parametrize(
    "arguments", [("--help",), ("--version",), ("models", "list"), ("schema", "--help"), ("nonsense",)]
)
def test_what_needs_no_library_imports_none(arguments: tuple[str, ...]) -> None:
    assert heavy_modules(*arguments) == []


@pytest.mark.parametrize("arguments", [("env",), ("run",), ("check",), ("bench",), ("run", "--help")])
def test_a_bad_setting_is_told_before_anything_heavy_is_imported(arguments: tuple[str, ...]) -> None:
    assert set(heavy_modules(*arguments)) <= {"pydantic"}
