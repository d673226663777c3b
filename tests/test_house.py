"""The rules of the house: who may import whom, where threads come from, how large a module may be."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from daemon import ROOT
from house import MODULES, PACKAGE, imports, own

from edged.cli import COMMANDS
from edged.settings.declared import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_LINES = 400
MOST_LINES_OF_A_CLASS = 250
MOST_LINES_OF_A_FUNCTION = 40
"""Its signature and its docstring aside."""
MOST_ARGUMENTS_OF_A_CONSTRUCTOR = 9
FLOORS: tuple[dict[str, str], ...] = (
    {
        "errors": "what may go wrong, with exit code and what to do",
        "registry": "every plug-in by name, as import strings",
        "metrics": "counting and timing",
        "pixels": "pixels as the source gave them, converted when somebody asks",
        "records": "the frozen values that travel",
        "bridge": "the only maker of threads",
        "channel": "the bounded queue",
        "backoff": "how long to wait before the next attempt",
    },
    {"settings": "declared once, a file a section; loaded from env file and environment; no secret shown"},
    {
        "contract": "what is published, whoever publishes it: topics, payloads, schema",
        "imaging": "pictures into models, and out with what was found drawn into them",
        "durable": "what outlives a kill: open events, what of them is owed, line totals; whole files",
    },
    {
        "decoders": "one file a model family: output tensors to detections",
        "engines": "what runs a model: CPU, Edge TPU (coral/), going on when one fails",
        "sources": "where frames come from, one file a kind, over cameras/, decoding/ and packets/",
        "scene": "what a camera knows beyond one frame: tracks, zones and lines, events; pure",
        "video": "encoding, segments and retention",
        "mqtt": "the node: camera/, Home Assistant (home/), retained/; delivery/ over link/; one_shot/",
        "http": "the live view, its page and metrics",
        "webhook": "events by HTTP to a server of the user's, tried again until it has taken them",
    },
    {
        "sinks": "thin: where results go, one file a kind",
        "model": "model files: reading, choosing, fetching, loading",
        "devices": "what is plugged into this machine",
    },
    {"pipeline": "the way of a frame: intake, inference, outlets"},
    {"daemon": "the running service, its assembly, the machine it runs on"},
    {"trial": "the whole job tried (demo) or measured (benchmark)"},
    {"cli": "one module a command; the only room that prints or exits"},
    {"__main__": "the command line's door"},
)
"""From the ground up, each room with what it is for: modules import from their own floor or those below."""
GROUND = FLOORS[0].keys()
"""The only modules that may lie loose on the top level."""


def floor(module: str) -> int:
    for number, rooms in enumerate(FLOORS):
        if module.partition(".")[0] in rooms:
            return number
    raise AssertionError(f"edged/{module} has no place in the house: give it one in FLOORS")


def test_every_module_has_its_place() -> None:
    for module in MODULES:
        if module:
            floor(module)


def test_only_the_ground_lies_loose() -> None:
    loose = {module for module, path in MODULES.items() if module and path.parent == PACKAGE}
    assert loose - {"__main__"} == {name for name in GROUND if name in MODULES}


def test_contributing_shows_the_rooms_of_this_list() -> None:
    """A newcomer's map of the house is this very list."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    missing = [line for line in rooms_table() if line not in table.splitlines()]
    assert missing == [], "copy these lines into the table of rooms:\n" + "\n".join(missing)
    assert table.partition("## Where")[0].count("\n| `") == sum(len(rooms) for rooms in FLOORS), (
        "no room that is not there any more"
    )


def test_contributing_names_places_that_there_are() -> None:
    """Whoever follows it finds a file, and a setting."""
    table = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Where to change what")[2]
    named = re.findall(r"`(\w+/[\w/]*(?:\w\.(?:py|js))?)`", table)
    assert len(named) > 50
    assert sorted(name for name in named if not (PACKAGE / name.removeprefix("edged/")).exists()) == []
    sections = {path.name for path in (PACKAGE / "settings/sections").glob("[a-z]*.py")}
    assert set(re.findall(r"`(\w+\.py)`", table.partition("| what a detection")[0])) == sections
    variables = {f"EDGED_{name.upper()}" for name in Settings.model_fields}
    assert set(re.findall(r"\bEDGED_\w+", table)) <= variables


def rooms_table() -> Iterator[str]:
    for rooms in FLOORS:
        for room, purpose in rooms.items():
            file = f"{room}.py" if (PACKAGE / f"{room}.py").is_file() else f"{room}/"
            yield f"| `{file}` | {purpose} |"


def test_imports_point_one_way() -> None:
    """Nobody knows a room above, not even by type."""
    upwards = [
        f"{found.module}:{found.line} imports {target}"
        for found, target in own()
        if floor(found.module) < floor(target)
    ]
    assert upwards == []


def test_no_public_class_name_stands_twice() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, path in MODULES.items():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_imports_have_no_cycle() -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for found, target in own():
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
        ("paho", ("mqtt", "trial.demo")),
        ("amqtt", ("trial.demo_broker",)),
        ("av", ("sources", "video", "trial.demo")),
        ("tornado", ("http",)),
        ("pydantic", ("settings", "contract")),
        ("pydantic_settings", ("settings.declared",)),
        ("dotenv", ("settings.loading",)),
        ("sqlite3", ("mqtt.delivery.spool",)),
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
        "pkgutil",
        "typing",
    ]


def test_no_module_is_too_long_to_be_read() -> None:
    lengths = {module: path.read_text(encoding="utf-8").count("\n") for module, path in MODULES.items()}
    assert {module: lines for module, lines in lengths.items() if lines > MOST_LINES} == {}


def definitions() -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Every class and every function, with where it stands."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{module}:{node.lineno} {node.name}", node


def lines_of(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_no_class_is_too_long_to_be_known() -> None:
    """A long one plays several roles; settings are declared in one place, however many there are."""
    lengths = {
        place: lines_of(node)
        for place, node in definitions()
        if isinstance(node, ast.ClassDef) and not place.startswith("settings.")
    }
    assert {place: lines for place, lines in lengths.items() if lines > MOST_LINES_OF_A_CLASS} == {}


def test_no_function_is_too_long_to_be_seen_at_once() -> None:
    lengths = {}
    for place, node in definitions():
        if not isinstance(node, ast.ClassDef):
            told = node.body[1:] if ast.get_docstring(node) is not None else node.body
            lengths[place] = lines_of(node) - (told[0].lineno - node.lineno) if told else 0
    assert {place: lines for place, lines in lengths.items() if lines > MOST_LINES_OF_A_FUNCTION} == {}


def test_no_constructor_takes_more_than_anybody_can_keep_in_mind() -> None:
    """What is many values and no behaviour is a frozen record, and has no constructor of its own."""
    counts = {}
    for place, node in definitions():
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            arguments = node.args
            counts[place] = len(arguments.posonlyargs + arguments.args + arguments.kwonlyargs) - 1
    assert {place: count for place, count in counts.items() if count > MOST_ARGUMENTS_OF_A_CONSTRUCTOR} == {}


def test_no_room_is_a_lumber_room() -> None:
    lumber = re.compile(r"util|helper|common|misc|manager|handler\b", re.IGNORECASE)
    assert [module for module in MODULES if lumber.search(module)] == []
    names = [
        f"{module}.{node.name}"
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and re.search(r"(Manager|Helper|Util|Utils)$", node.name)
    ]
    systemd = "settings.systemd.ServiceManager"
    assert [name for name in names if name != systemd] == []


def test_no_sentence_begins_with_of() -> None:
    """Say who does what, and what it is for."""
    begins = re.compile(r'(?:^\s*#|"""|[.:;!?]|- )\s*Of [a-z:`]', re.MULTILINE)
    found = [
        f"{module}:{path.read_text(encoding='utf-8').count(chr(10), 0, match.start()) + 1}"
        for module, path in MODULES.items()
        for match in begins.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "say who does what: For a file ..., A camera has ..., Each ... is ..."


def test_every_command_has_a_module_and_every_module_is_a_command() -> None:
    modules = {module.removeprefix("cli.") for module in MODULES if module.startswith("cli.")}
    assert modules == set(COMMANDS)
