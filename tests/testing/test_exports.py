"""What `resonate_trio.testing` gives is documented, and stands in the reference."""

import inspect
import re
from pathlib import Path

import pytest

from resonate_trio import testing

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "testing.md").read_text(encoding="utf-8")


def test_nothing_else_is_public() -> None:
    """What is not exported is a module, or begins with an underscore."""
    names = {
        name for name, value in vars(testing).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert names == set(testing.__all__)


def test_every_name_is_on_its_page_once() -> None:
    """The page has a directive for each name, and for nothing else."""
    documented = re.findall(r"^\.\. auto(?:class|exception|function|data):: (\w+)", PAGE, re.MULTILINE)
    assert sorted(documented) == sorted(testing.__all__)


@pytest.mark.parametrize("name", [name for name in testing.__all__ if inspect.isclass(getattr(testing, name))])
def test_every_public_method_is_on_the_page(name: str) -> None:
    """With its class."""
    (section,) = re.findall(
        rf"^\.\. auto(?:class|exception):: {name}(?:\(\))?\n((?: .*\n|\n)*)", PAGE, re.MULTILINE
    )
    for method, value in inspect.getmembers(getattr(testing, name), inspect.isfunction):
        if not method.startswith("_") and name != "WorldClient":
            assert value.__doc__, method
            assert re.search(rf"\b{method}\b", section), method
