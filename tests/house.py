"""The modules of edged and what they import, as the rules of the house see them."""

from __future__ import annotations

import ast
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from daemon import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = ROOT / "edged"


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
