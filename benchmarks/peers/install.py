"""Installs the peers: `pip install` and `npm install` of what the files beside this one list."""

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import final

FOLDER = Path(__file__).parent
PYTHONS = ("python3", "python3.14", "python3.13", "python3.12")
MIN_VERSION = (3, 12)


@final
class NoInterpreterError(Exception):
    """There is no Python that is new enough for the peers."""


def install_peers(home: Path, python: str | None, tell: Callable[[str], None]) -> None:
    """Make the peers' environment and install them in it. What is there already is brought up to date.

    Args:
        home: the folder for it.
        python: an interpreter of version 3.12 or newer; None: one that is on PATH.
        tell: told what is being done.

    Raises:
        NoInterpreterError: there is none.
        subprocess.CalledProcessError: an installation failed; it has said why.
    """
    interpreter = find_interpreter([python] if python else PYTHONS)
    environment = home / "python"
    tell(f"{environment}: packages for {interpreter}")
    _run([interpreter, "-m", "venv", str(environment)])
    requirements = str(FOLDER / "requirements.txt")
    _run([str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", requirements])
    if shutil.which("npm") is None:
        tell("no npm: Restate's server is left out")
        return
    tell(f"{home / 'node_modules'}: Restate's server")
    shutil.copy(FOLDER / "package.json", home)
    _run(["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(home)])


def find_interpreter(candidates: Sequence[str]) -> str:
    """Return the first candidate that runs and is new enough.

    Raises:
        NoInterpreterError: none is.
    """
    question = f"import sys; sys.exit(sys.version_info < {MIN_VERSION})"
    for candidate in candidates:
        try:
            if subprocess.run([candidate, "-c", question], capture_output=True, check=False).returncode == 0:
                return candidate
        except OSError:
            continue
    raise NoInterpreterError(
        f"the peers need Python {MIN_VERSION[0]}.{MIN_VERSION[1]} or newer, and {', '.join(candidates)} "
        "is not that: name one with --python"
    )


def _run(command: Sequence[str]) -> None:
    subprocess.run(command, check=True)
