"""Which peers are here."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, final

import orjson
from attrs import frozen

from benchmarks.systems import Mode

HOME: Final = Path(__file__).parents[1] / ".cache" / "peers"
"""Where `python -m benchmarks install-peers` puts them."""

INSTALL = "`python -m benchmarks install-peers`"
INSTALL_POSTGRES = "your system's package `postgresql`, or its folder of programs on PATH"
DISTRIBUTIONS = {Mode.RESTATE: "restate-sdk", Mode.DBOS: "dbos", Mode.RESONATE_SDK: "resonate-sdk"}


@final
@frozen
class Peers:
    """The peers, as far as they are here.

    Attributes:
        python: the interpreter of their environment.
        versions: of the distributions in it.
        restate_server: Restate's server.
        postgres: the folder with Postgres's programs.
    """

    python: Path | None
    versions: dict[str, str]
    restate_server: Path | None
    postgres: Path | None

    def missing(self, mode: Mode) -> str | None:
        """Return what a peer lacks and how to get it; None if it is complete."""
        if self.python is None or DISTRIBUTIONS[mode] not in self.versions:
            return f"no {DISTRIBUTIONS[mode]}: {INSTALL}"
        if mode == Mode.RESTATE and self.restate_server is None:
            return f"no @restatedev/restate-server: {INSTALL}, which needs npm"
        if mode == Mode.DBOS and self.postgres is None:
            return f"no Postgres: {INSTALL_POSTGRES}"
        return None

    def describe(self, mode: Mode) -> str:
        """Return a peer's name and versions."""
        name = DISTRIBUTIONS[mode]
        parts = [f"{name} {self.versions[name]}"]
        if mode == Mode.RESTATE and self.restate_server is not None:
            parts.append(_output([self.restate_server, "--version"]))
        if mode == Mode.DBOS and self.postgres is not None:
            parts.append(_output([self.postgres / "postgres", "--version"]))
        return ", ".join(parts)


def find_peers(home: Path = HOME) -> Peers:
    """Look for the peers in the folder that they are installed in, and for Postgres on the system."""
    python = home / "python" / "bin" / "python"
    servers = sorted(home.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    return Peers(
        python if python.exists() else None,
        _versions(python) if python.exists() else {},
        servers[0] if servers else None,
        _find_postgres(),
    )


def _versions(python: Path) -> dict[str, str]:
    listing = orjson.loads(_output([python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]))
    return {entry["name"]: entry["version"] for entry in listing}


def _find_postgres() -> Path | None:
    """Return the folder of the newest Postgres: Debian keeps it off PATH, in a folder for each version."""
    on_path = shutil.which("postgres")
    if on_path is not None:
        return Path(on_path).resolve().parent
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return programs[-1].parent if programs else None


def _output(command: Sequence[Path | str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
