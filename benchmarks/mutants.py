"""Break one thing at a time, and count what no test notices: `make mutants`.

    python benchmarks/mutants.py [edged/scene/kalman.py ...] [--seconds 300] [--table]

mutmut makes the faults, one file after another. A process collects the tests nearest to the file and runs
them once as the code is; then it forks for every fault, puts the broken function in the place of the good one
and runs those tests that came through it, the quickest first, until one fails. So no fault pays for imports
and collecting. Tests that take long (SLOW_S) are left out, for each fault would pay for them.

What was found stays in build/mutants as long as the file does not change, so that the work may be done in
pieces; what nothing noticed is tried again, for there may be new tests. Lines that write a log are left out.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import gc
import hashlib
import importlib
import json
import os
import re
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import libcst
import pytest
from mutmut.mutation.file_mutation import create_mutations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

ROOMS = (
    "edged/*.py",
    "edged/durable/*.py",
    "edged/engines/failover.py",
    "edged/engines/pool.py",
    "edged/engines/tenancy.py",
    "edged/mqtt/delivery/*.py",
    "edged/mqtt/handover.py",
    "edged/scene/*.py",
    "edged/video/retention.py",
    "edged/webhook/courier.py",
)
NEAREST = {
    "edged/engines/tenancy.py": ["tests/engines/test_tenancy.py"],
    "edged/scene/events.py": ["tests/scene/test_chronicle.py", "tests/scene/test_crossings.py"],
    "edged/scene/motion.py": ["tests/scene/test_motion_by_hand.py"],
    "edged/video/retention.py": ["tests/video/test_retention.py"],
    "edged/mqtt/delivery/spooler.py": [
        "tests/mqtt/delivery/test_mqtt_spooler.py",
        "tests/mqtt/delivery/test_mqtt_spool_outage.py",
    ],
    "edged/mqtt/handover.py": ["tests/mqtt/test_handover.py"],
}
"""Tests of files for which the mirror of the rooms has none, or too slow ones."""
NOT = "not full_disk_is_told and not room_on_the_disk"
"""Tests that mount something: one that is killed would leave it behind."""
UNUSED = ("cacheprovider", "terminal", "logging", "faulthandler", "hypothesispytest")
"""Plugins of pytest that would write, or take time."""
ONE_THREAD = {"OPENCV_FOR_THREADS_NUM": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Threads of a pool do not live in a fork, and whoever waits for one there waits for ever."""
SLOW_S = 3.0
SQL = re.compile(r"\s*(select|insert|delete|update|create|pragma|begin|vacuum)\b", re.IGNORECASE)
FOUND = Path("build/mutants")
NOTICED, UNNOTICED = "noticed", "survives"


@dataclass(frozen=True)
class Fault:
    """One small fault in one function."""

    names: tuple[str, ...]
    """What the function is called: its class, if it has one, and itself."""
    code: str
    """The whole module with it."""
    shown: str
    """Which one it is, and what it changes, as a diff."""


@dataclass
class Found:
    """What is known of the faults of a file."""

    file: str
    of: str = ""
    """The text that was broken, as a hash."""
    tried: dict[str, str] = field(default_factory=dict)
    """By fault, ``NOTICED`` or ``UNNOTICED``."""
    left: int = 0
    """How many were not tried yet."""

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return FOUND / f"{self.file}.json"

    def load(self, text: str) -> None:
        """Take up what an earlier run found in the same text."""
        self.of = hashlib.sha256(text.encode()).hexdigest()
        if self.path.exists() and (known := json.loads(self.path.read_text()))["of"] == self.of:
            self.tried, self.left = known["tried"], known["left"]

    def save(self) -> None:
        """Keep it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(vars(self), indent=1))


def faults(file: str, text: str) -> Iterator[Fault]:
    """What mutmut would break in a file."""
    module, mutations, *_ = create_mutations(file, text)
    meant = plain(text)
    inside: dict[int, tuple[str, ...]] = {id(one): (one.name.value,) for one in functions(module.body)}
    for one in module.body:
        if isinstance(one, libcst.ClassDef):
            inside |= {id(method): (one.name.value, method.name.value) for method in functions(one.body.body)}
    for number, mutation in enumerate(mutations):
        names = inside.get(id(mutation.contained_by_top_level_function))
        if names is None:
            continue
        broken = module.deep_replace(mutation.original_node, mutation.mutated_node)
        code = libcst.ensure_type(broken, libcst.Module).code
        if plain(code) == meant:
            continue
        lines = difflib.unified_diff(text.splitlines(), code.splitlines(), n=0, lineterm="")
        changed = (f"{line[0]} {line[1:].strip()}" for line in [*lines][2:] if line[0] in "+-")
        yield Fault(names, code, "\n".join([f"{number} {'.'.join(names)}", *changed]))


def functions(body: Any) -> list[libcst.FunctionDef]:
    """Those in the body of a module or class."""
    return [one for one in body if isinstance(one, libcst.FunctionDef)]


class Plain(ast.NodeTransformer):
    """Leaves out what changes nothing: the type in a ``cast``, and the letters of SQL's words."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """A cast is what is cast."""
        self.generic_visit(node)
        cast = isinstance(node.func, ast.Name) and node.func.id == "cast"
        return node.args[1] if cast and len(node.args) == 2 else node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        """SQL in small letters."""
        sql = isinstance(node.value, str) and SQL.match(node.value)
        return ast.Constant(str(node.value).lower()) if sql else node


def plain(code: str) -> str:
    """What a module does, as text."""
    return ast.dump(Plain().visit(ast.parse(code)))


def nearest(file: str) -> list[str]:
    """The tests of a file: those in the mirror of its room that import it, or all of these."""
    if file in NEAREST:
        return NEAREST[file]
    path = Path(file)
    room = Path("tests", *path.parts[1:-1])
    if room == Path("tests"):
        return [str(room / f"test_{path.stem}.py")]
    dotted = module_name(file)
    imports = re.compile(rf"{re.escape(dotted)} import|import {re.escape(path.stem)}\b")
    tests = sorted(room.rglob("test_*.py"))
    return [str(test) for test in tests if imports.search(test.read_text())] or [str(test) for test in tests]


def module_name(file: str) -> str:
    """As it is imported."""
    return ".".join(Path(file).with_suffix("").parts).removesuffix(".__init__")


def function(module: ModuleType, names: tuple[str, ...]) -> FunctionType:
    """The function itself, of a static or class method what is within."""
    found: Any = module
    for name in names:
        found = vars(found)[name]
    return getattr(found, "__func__", found)  # type: ignore[no-any-return]


class Trial:
    """Plugin of pytest: in the place of its loop over the tests, a loop over faults.

    Args:
        found: what is known of the file, which grows.
        until: when to stop, by the monotonic clock.
        spare_s: seconds that a test may take beyond five times those it takes without a fault.
    """

    def __init__(self, found: Found, until: float, spare_s: float) -> None:
        self.found = found
        self.failed = ""
        self._until = until
        self._spare_s = spare_s
        self._took: dict[pytest.Item, float] = {}
        self._through: dict[CodeType, list[pytest.Item]] = {}
        """The tests by the code that they ran."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear of a failure."""
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests once, and then for every fault those that come near it."""
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            self._run_clean(item, following)
            if self.failed:
                return True
        gc.collect()
        gc.freeze()
        text = Path(self.found.file).read_text()
        self.found.load(text)
        known = [*faults(self.found.file, text)]
        tried = {
            fault.shown: self.found.tried[fault.shown] for fault in known if fault.shown in self.found.tried
        }
        self.found.tried = tried
        todo = [fault for fault in known if tried.get(fault.shown) != NOTICED]
        todo.sort(key=lambda fault: fault.shown in tried)
        self.found.left = sum(fault.shown not in tried for fault in todo)
        for fault in todo:
            if time.monotonic() > self._until:
                break
            self.found.left -= fault.shown not in tried
            tried[fault.shown] = self._try(fault)
            self.found.save()
        return True

    def _run_clean(self, item: pytest.Item, following: pytest.Item | None) -> None:
        seen: set[CodeType] = set()

        def note(frame: FrameType, event: str, _: Any) -> None:
            if event == "call":
                seen.add(frame.f_code)

        began = time.monotonic()
        threading.setprofile(note)
        sys.setprofile(note)
        self._run(item, following)
        sys.setprofile(None)
        threading.setprofile(None)
        self._took[item] = time.monotonic() - began
        for code in seen:
            self._through.setdefault(code, []).append(item)

    @staticmethod
    def _run(item: pytest.Item, following: pytest.Item | None = None) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _try(self, fault: Fault) -> str:
        module = importlib.import_module(module_name(self.found.file))
        live = function(module, fault.names)
        tests = sorted(self._through.get(live.__code__, []), key=lambda item: self._took[item])
        tests = [item for item in tests if self._took[item] <= SLOW_S] or tests[:1]
        child = os.fork()
        if not child:
            self._break_and_run(module, fault, tests)
        _, status = os.waitpid(child, 0)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # what a test has started, and did not come to end
        code = os.waitstatus_to_exitcode(status)
        assert code in {0, 1} or code < 0, f"{fault.shown} cannot be tried"
        return NOTICED if code else UNNOTICED

    def _break_and_run(self, module: ModuleType, fault: Fault, tests: list[pytest.Item]) -> None:
        """In the child, which does not come back: 1 if a test fails, 2 if the fault cannot be made."""
        status = 2
        try:
            os.setsid()
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            broken, live = ModuleType(module.__name__), function(module, fault.names)
            broken.__dict__.update(__file__=module.__file__, __package__=module.__package__)
            exec(compile(fault.code, str(module.__file__), "exec"), vars(broken))  # noqa: S102  # it is edged
            other = function(broken, fault.names)
            live.__code__, live.__defaults__ = other.__code__, other.__defaults__
            live.__kwdefaults__ = other.__kwdefaults__
            status = 1
            for item in tests:
                # Where a test hangs the alarm ends the child, and whoever waits for it has noticed.
                signal.setitimer(signal.ITIMER_REAL, self._spare_s + 5 * self._took[item])
                self._run(item)
                if self.failed:
                    os._exit(1)
            status = 0
        finally:
            os._exit(status)


def try_file(file: str, until: float, spare_s: float) -> Found:
    """Try the faults of a file that are left, in a process of its own."""
    child = os.fork()
    if not child:
        trial = Trial(Found(file), until, spare_s)
        without = [f"-pno:{name}" for name in UNUSED]
        options = [*without, "-o", "addopts=", "-o", "timeout=0", "-k", NOT]
        pytest.main([*nearest(file), *options], plugins=[trial])
        if trial.failed:
            sys.stderr.write(f"{file}: {trial.failed} fails without any fault\n")
        os._exit(bool(trial.failed))
    os.waitpid(child, 0)
    found = Found(file)
    found.load(Path(file).read_text())
    return found


def row(name: str, tried: int, noticed: int, left: int) -> str:
    """A line of the table."""
    score = f"{noticed / tried:.1%}" if tried else ""
    return f"| {name} | {tried} | {noticed} | {tried - noticed} | {score} |" + f" {left} left" * bool(left)


def main() -> None:
    """Try what is left, print what nothing notices, and the table."""
    parser = argparse.ArgumentParser(description="Count the faults that no test notices.")
    parser.add_argument("files", nargs="*", help="all of the rooms, if none is given")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="when to stop; the next goes on")
    parser.add_argument("--spare", type=float, default=10.0, help="seconds for a test beyond its usual")
    parser.add_argument("--table", action="store_true", help="try nothing, only print what is known")
    wanted = parser.parse_args()
    os.environ.update(ONE_THREAD)
    until = time.monotonic() + wanted.seconds
    files = wanted.files or [str(path) for room in ROOMS for path in sorted(Path().glob(room))]
    total = [0, 0, 0]
    rows = []
    for file in files:
        found = Found(file)
        found.load(Path(file).read_text())
        if not wanted.table and time.monotonic() < until:
            found = try_file(file, until, wanted.spare)
        noticed = [*found.tried.values()].count(NOTICED)
        counts = [len(found.tried), noticed, found.left]
        if any(counts):
            total = [before + more for before, more in zip(total, counts, strict=True)]
            rows.append(row(file, *counts))
        for shown in (one for one, what in found.tried.items() if what == UNNOTICED):
            print(f"{file} {shown}")
    print("\n| file | tried | noticed | survives | score |\n| --- | --- | --- | --- | --- |")
    print(*rows, row("all", *total), sep="\n")


if __name__ == "__main__":
    main()
