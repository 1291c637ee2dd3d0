"""`resonate-trio demo`, run as its users run it."""

import os
import re
import signal
import sys
from pathlib import Path

import pytest

from .kit import Kit, Program, open_kit

pytestmark = [pytest.mark.trio, pytest.mark.slow]

_STARTED = re.compile(r" (\S+) +started, as process (\d+)$")


async def start_demo(kit: Kit) -> Program:
    """Start the demo, with a folder of its own for its files."""
    files = kit.folder / "files"
    files.mkdir()
    return await kit.run("demo", sys.executable, "-m", "resonate_trio", "demo", TMPDIR=str(files))


def pids(demo: Program) -> dict[str, int]:
    """Return the processes that the demo has started, by name."""
    return {match[1]: int(match[2]) for match in map(_STARTED.search, demo.said) if match}


def living(pid: int) -> bool:
    """Tell whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def nothing_is_left_of(demo: Program, kit: Kit) -> bool:
    """Tell whether the demo, which has ended, took its processes and files with it."""
    return not any(map(living, pids(demo).values())) and not list(kit.folder.glob("files/*"))


async def test_demo_ends_with_the_table_of_its_flows(tmp_path: Path) -> None:
    """Every flow has the result it should have, and took the steps it should have taken."""
    async with open_kit(tmp_path) as kit:
        demo = await start_demo(kit)
        status = await demo.child.wait()
        headings = next(number for number, line in enumerate(demo.said) if line.startswith("flow "))
        rows = [re.split(r" {2,}", line.strip()) for line in demo.said[headings + 2 :][:7]]
        assert [[flow, result, expected, *counts] for flow, result, expected, _, *counts in rows] == [
            ["fan-out", "2", "2", "3", "0", "0"],
            ["chain", "3", "3", "3", "0", "0"],
            ["detached", "sent, signed", "sent, signed", "3", "0", "0"],
            ["recursion", "3628800", "3628800", "10", "0", "0"],
            ["callee killed", "42", "42", "2", "0", "1"],
            ["caller killed", "32", "32", "6", "3", "0"],
            ["server killed", "32", "32", "6", "0", "0"],
        ]
        assert (status, demo.complained) == (0, [])
        assert nothing_is_left_of(demo, kit)


async def test_demo_that_is_interrupted_leaves_nothing_behind(tmp_path: Path) -> None:
    """Ctrl-C ends its processes and removes its files, whatever it was doing."""
    async with open_kit(tmp_path) as kit:
        demo = await start_demo(kit)
        await demo.until(lambda: len(pids(demo)) >= 3)  # some are still being started
        assert await demo.child.signal(signal.SIGINT) == 128 + signal.SIGINT
        assert demo.complained == []
        assert nothing_is_left_of(demo, kit)


async def test_demo_reports_a_process_that_died_unasked(tmp_path: Path) -> None:
    """It ends at once with status 1 and says which process it was, instead of waiting for it."""
    async with open_kit(tmp_path) as kit:
        demo = await start_demo(kit)
        await demo.until(lambda: "baz/1" in pids(demo))
        os.kill(pids(demo)["baz/1"], signal.SIGKILL)
        assert await demo.child.wait() == 1
        assert demo.complained[0].startswith("the process baz/1 was ended by SIGKILL, unasked.")
        assert nothing_is_left_of(demo, kit)
