"""The page of guarantees names tests that exist."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PAGE = TESTS.parent / "docs" / "reference" / "guarantees.md"
NAMED = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", PAGE.read_text(encoding="utf-8"))


def test_the_page_names_tests() -> None:
    """Otherwise the test below would try nothing."""
    assert len(NAMED) > 40


@pytest.mark.parametrize(("file", "name"), NAMED, ids=lambda part: part or "all")
def test_every_test_that_the_page_names_exists(file: str, name: str) -> None:
    """A guarantee whose test is gone or has another name is not shown any more."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not name or name in functions
