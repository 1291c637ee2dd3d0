"""The surroundings of a run: without them its figures mean little."""

import os
import platform
import sqlite3
import subprocess
from importlib.metadata import version
from pathlib import Path

LIBRARIES = (
    "anyio",
    "attrs",
    "cattrs",
    "httptools",
    "httpx",
    "orjson",
    "resonate-trio",
    "starlette",
    "trio",
    "uvicorn",
    "uvloop",
)


def collect_facts() -> dict[str, object]:
    """Return facts about the machine, the interpreter, the libraries and the code, ready for JSON."""
    return {
        "cpus": os.cpu_count(),
        "load_average": os.getloadavg(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "libraries": {name: version(name) for name in LIBRARIES},
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
    }


def _git(*arguments: str) -> str | None:
    """Return what git says about this code, None if it is in no repository."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
