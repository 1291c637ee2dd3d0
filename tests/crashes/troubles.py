"""Ways in which a disk fails a running server: each is caused, and its cause is taken away again.

What the tests may do depends on where they run. What it takes more for than Linux is skipped, with a reason.
"""

import resource
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol, final

import pytest

DATABASE: Final = "server.db"
DISK_KIB: Final = 4096
BALLAST_KIB: Final = 3584
"""What lies on the full disk besides the database, until somebody makes room."""


class Trouble(Protocol):
    """A disk that can fail.

    Attributes:
        folder: where the database is to be.
        reason: what the server's log says while the disk fails.
    """

    folder: Path
    reason: str

    def cause(self, pid: int) -> None:
        """Let the disk fail for the server with this process id."""

    def cure(self, pid: int) -> None:
        """Let it work again."""


@final
class FullDisk:
    """A small file system of its own, nearly full of something else."""

    reason = "the disk is full"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cause(self, pid: int) -> None:
        """Fill the disk, but for a few pages of 4 KiB."""
        (self.folder / "ballast").write_bytes(bytes(BALLAST_KIB * 1024))

    def cure(self, pid: int) -> None:
        """Make room."""
        (self.folder / "ballast").unlink()


@final
class Quota:
    """A limit to the size of the files that the server may write: the write that goes beyond fails."""

    reason = "disk I/O error"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._usual = resource.getrlimit(resource.RLIMIT_FSIZE)

    def cause(self, pid: int) -> None:
        """Let nothing grow any more."""
        size = max(path.stat().st_size for path in self.folder.iterdir())
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, self._usual[1]))

    def cure(self, pid: int) -> None:
        """Take the limit away."""
        resource.prlimit(pid, resource.RLIMIT_FSIZE, self._usual)


@final
class ReadOnlyFiles:
    """Files that may no longer be written, not even by who has them open."""

    reason = "nothing was stored"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cause(self, pid: int) -> None:
        """Make them immutable."""
        change_attribute("+i", *self.folder.iterdir())

    def cure(self, pid: int) -> None:
        """Make them writable."""
        change_attribute("-i", *self.folder.iterdir())


def change_attribute(mode: str, *paths: Path) -> None:
    """Change an attribute of files, or skip the test where that is not allowed."""
    try:
        subprocess.run(["chattr", mode, *map(str, paths)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("files cannot be made immutable here: that needs root, and a file system that knows it")


@contextmanager
def open_full_disk(folder: Path) -> Generator[Trouble]:
    """Mount a small disk, or skip the test where that is not allowed."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_KIB}k", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here: that needs root")
    try:
        yield FullDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def open_quota(folder: Path) -> Generator[Trouble]:
    """Need nothing: a process may limit others of its user."""
    yield Quota(folder)


@contextmanager
def open_read_only(folder: Path) -> Generator[Trouble]:
    """Find out whether it is allowed, and leave nothing that cannot be deleted."""
    probe = folder / "probe"
    probe.touch()
    change_attribute("+i", probe)
    change_attribute("-i", probe)
    probe.unlink()
    try:
        yield ReadOnlyFiles(folder)
    finally:
        change_attribute("-i", *folder.iterdir())


TROUBLES: Final = {"full disk": open_full_disk, "quota": open_quota, "read-only files": open_read_only}
