"""The page about the architecture describes what is really there."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Return the modules in the first column of the table below a heading, row by row."""
    _, _, section = PAGE.partition(f"\n## {heading}\n")
    section, _, _ = section.partition("\n#")
    return [re.findall(r"`(\w+)`", line.split("|")[1]) for line in section.splitlines() if line.startswith("| `")]


def modules(package: str) -> set[str]:
    """Return the modules and packages right inside a package."""
    paths = (ROOT / package).iterdir()
    found = {path.stem for path in paths if path.suffix == ".py" or (path / "__init__.py").exists()}
    return found - {"__init__", "__main__"}


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that are imported when a module runs; for type checkers only does not count."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        waiting.extend(ast.iter_child_nodes(node))


def imported_layers(module: str) -> set[str]:
    """Return the modules of the SDK, right inside it, that one of them imports."""
    path = ROOT / "resonate_trio" / module
    files = list(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]
    found = set()
    for file in files:
        for name in imports(ast.parse(file.read_text(encoding="utf-8"))):
            relative = name.removeprefix("resonate_trio.") if path.is_dir() else name.removeprefix(".")
            if relative != name:
                found.add(relative.partition(".")[0])
    return found


@pytest.mark.parametrize(
    ("package", "heading"), [("resonate_trio", "The SDK, lowest layer first"), ("server_ref", "The server")]
)
def test_every_module_has_its_place(package: str, heading: str) -> None:
    """The tables name what is in the tree, once each, and nothing else."""
    listed = sorted(module for row in rows(heading) for module in row)
    assert listed == sorted(modules(package))


def test_layers_import_only_from_below() -> None:
    """What the page says about imports holds in the code."""
    layers = rows("The SDK, lowest layer first")
    height = {module: number for number, layer in enumerate(layers) for module in layer}
    upward = [
        f"{module} imports {other}"
        for module in height
        for other in imported_layers(module)
        if other in height and height[other] > height[module]
    ]
    assert upward == []


def test_server_shares_only_the_protocol() -> None:
    """The server imports nothing of the SDK but its protocol."""
    for file in (ROOT / "server_ref").rglob("*.py"):
        names = imports(ast.parse(file.read_text(encoding="utf-8")))
        ours = {name for name in names if name.startswith("resonate_trio")}
        assert ours <= {"resonate_trio.protocol"}, file
