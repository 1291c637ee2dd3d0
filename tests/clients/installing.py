"""Getting the published clients: pinned, from their registries, once, into a folder that is kept between runs."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, final

PROGRAMS: Final = Path(__file__).parent / "programs"
TYPESCRIPT: Final = "@resonatehq/sdk@0.11.5"
PYTHON: Final = "resonate-sdk==0.8.1"
PYTHON_NEEDS: Final = (3, 12)
_TIME_LIMIT_S: Final = 180


@final
class MissingClientError(Exception):
    """A client cannot be had on this machine. The message says why."""


def install_typescript(folder: Path) -> list[str]:
    """Install the TypeScript client, and return the command that runs our program on it.

    Raises:
        MissingClientError: there is no Node, or the registry gave no client.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise MissingClientError("the TypeScript client needs Node: there is no `node` and `npm` on the PATH")
    if not _is_complete(folder, TYPESCRIPT):
        folder.mkdir()
        _install([
            npm,
            "install",
            "--prefix",
            str(folder),
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            TYPESCRIPT,
        ])
        _complete(folder, TYPESCRIPT)
    # Node looks for a module from the file that imports it upwards.
    program = folder / "published.mjs"
    shutil.copyfile(PROGRAMS / program.name, program)
    return [node, str(program)]


def install_python(folder: Path) -> list[str]:
    """Install the Python client, and return the command that runs our program on it.

    Raises:
        MissingClientError: no Python is new enough, or the registry gave no client.
    """
    interpreter = folder / "bin" / "python"
    if not _is_complete(folder, PYTHON):
        _install([_new_python(), "-m", "venv", "--without-pip", str(folder)])
        _install([sys.executable, "-m", "pip", "--python", str(interpreter), "install", "--quiet", PYTHON])
        _complete(folder, PYTHON)
    return [str(interpreter), str(PROGRAMS / "published.py")]


# --- Interpreters ---------------------------------------------------------------------------------


def _new_python() -> str:
    needed = ".".join(map(str, PYTHON_NEEDS))
    for interpreter in _pythons():
        if _is_new(interpreter):
            return interpreter
    raise MissingClientError(
        f"the Python client needs Python {needed} or newer: there is none on the PATH, nor in pyenv's versions"
    )


def _pythons() -> Iterator[str]:
    """Yield interpreters that may be new enough, the likeliest first."""
    yield sys.executable
    for minor in (12, 13, 14):
        found = shutil.which(f"python3.{minor}")
        if found is not None:
            yield found
    if shutil.which("pyenv") is not None:
        root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=True).stdout.strip()
        yield from map(str, sorted(Path(root, "versions").glob("3.*/bin/python")))


def _is_new(interpreter: str) -> bool:
    """Tell whether an interpreter is new enough. A shim on the PATH may have none behind it."""
    check = f"import sys; sys.exit(sys.version_info < {PYTHON_NEEDS})"
    return subprocess.run([interpreter, "-c", check], capture_output=True, check=False).returncode == 0


# --- Folders --------------------------------------------------------------------------------------


def _is_complete(folder: Path, version: str) -> bool:
    """Tell whether a folder holds just this version. What was left half done, or is another one, is removed."""
    mark = _mark(folder)
    if mark.is_file() and mark.read_text() == version:
        return True
    shutil.rmtree(folder, ignore_errors=True)
    return False


def _complete(folder: Path, version: str) -> None:
    _mark(folder).write_text(version)


def _mark(folder: Path) -> Path:
    return folder / "installed.txt"


def _install(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIME_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        raise MissingClientError(f"{command[0]} did not install a client in {_TIME_LIMIT_S} s") from None
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()[-10:]
        raise MissingClientError("\n  ".join([f"the client could not be installed: {' '.join(command)}", *said]))
