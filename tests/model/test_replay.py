"""What a run prints that finds a difference: a script, as short as can be, that shows it again."""

import subprocess
import sys
from pathlib import Path

import pytest

from .broken import BrokenModel
from .play import play
from .side_by_side import DifferenceError, open_servers

ROOT = Path(__file__).parents[2]


def run(program: str) -> subprocess.CompletedProcess[str]:
    """Run a program in the root of the project."""
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


def test_a_difference_is_printed_as_a_script_that_repeats_it() -> None:
    """It has a task, and halts it twice; with the right model it shows nothing."""
    with open_servers() as servers, pytest.raises(DifferenceError) as caught:
        play(servers, steps=10_000, model=BrokenModel)
    difference, _, script = str(caught.value).partition("\n\n")
    assert "memory and the model differ after Step(" in difference
    assert "'task.halt'" in difference
    assert script.count("    Step(") == script.count("'task.halt'") + 1 == 3

    again = run(script)
    assert again.returncode == 1
    assert difference.splitlines()[0] in again.stderr

    right = run(script.replace("tests.model.broken", "tests.model.model").replace("BrokenModel", "Model"))
    assert (right.returncode, right.stderr) == (0, "")
