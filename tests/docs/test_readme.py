"""The program in the README runs as it stands."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent.parent / "README.md"


def test_the_program_in_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    """A newcomer pastes it into a file, runs it, and sees what it costs."""
    (program,) = re.findall(
        r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )
    (tmp_path / "shop.py").write_text(program, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "shop.py")]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("5\n", "", 0)


def test_the_readme_has_its_two_commands() -> None:
    """CI runs them from there."""
    commands = re.findall(r"^python3 -m venv .*$", README.read_text(encoding="utf-8"), re.MULTILINE)
    assert [command.rpartition("/")[2] for command in commands] == ["resonate-trio demo", "pytest"]
