"""What the audience of the demo sees, drawn or in plain lines."""

import io
import re

import pytest
import trio
from rich.console import Console
from trio.testing import MockClock

from resonate_trio.cli.demo.graph import Tally
from resonate_trio.cli.demo.live import LiveScreen
from resonate_trio.cli.demo.plain import PlainScreen
from resonate_trio.cli.demo.report import Report, Scene
from resonate_trio.cli.demo.screen import Screen

pytestmark = pytest.mark.trio

SCENE = Scene("fan-out", "foo invokes bar", 2, Tally(executed=2))
_STYLE = re.compile(r"\x1b\[[0-9;]*m")
_CURSOR = re.compile(r"(\x1b\[[0-9;?]*[A-Zhl]|\r)+")


def lines_on(terminal: io.StringIO) -> list[str]:
    """Return what was written, line by line; where the cursor moves, a new line begins."""
    written = _CURSOR.sub("\n", _STYLE.sub("", terminal.getvalue()))
    return [line.rstrip() for line in written.splitlines() if line]


async def perform(screen: Screen) -> None:
    """Show a short flow, in which a process is killed."""

    def tell(process: str, hook: str, *arguments: str) -> None:
        for instrument in (screen.graph.observer(process), screen.observer(process)):
            getattr(instrument, hook)(*arguments)

    async with screen.open():
        screen.process_starting("foo/1")
        screen.process_started("foo/1", 1234)
        screen.began(SCENE)
        tell("foo/1", "task_started", "fan-out", "fan_out")
        tell("foo/1", "invoked", "fan-out:1", "remote", "one", "fan-out")
        tell("foo/1", "task_suspended", "fan-out")
        await trio.sleep(1)
        screen.said("foo/1 is killed")
        screen.graph.killed("foo/1")
        screen.process_killed("foo/1")
        tell("foo/2", "task_started", "fan-out", "fan_out")
        tell("foo/2", "invoked", "fan-out:1", "remote", "one", "fan-out")
        tell("bar/1", "task_started", "fan-out:1", "one")
        tell("bar/1", "task_finished", "fan-out:1", "resolved")
        await trio.sleep(1)
        tell("foo/2", "task_finished", "fan-out", "resolved")
        screen.ended(Report(SCENE, 2, screen.graph.tally("fan-out"), trio.current_time()))


async def test_plain_screen_prints_a_line_for_each_event(
    capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
) -> None:
    """Each line has the time in the flow and the process; a replay does not repeat what is known."""
    await perform(PlainScreen(Console()))
    assert capsys.readouterr().out.splitlines() == [
        "  0.00 s  foo/1   started, as process 1234",
        "",
        "fan-out: foo invokes bar",
        "  0.00 s  foo/1   fan_out begins",
        "  0.00 s  foo/1   fan_out invokes one (remote)",
        "  0.00 s  foo/1   fan_out is suspended",
        "  1.00 s          foo/1 is killed",
        "  1.00 s  foo/1   killed by SIGKILL",
        "  1.00 s  foo/2   fan_out begins",
        "  1.00 s  bar/1   one begins",
        "  1.00 s  bar/1   one is resolved",
        "  2.00 s  foo/2   fan_out is resolved",
        "  2.00 s          result: 2",
    ]


async def test_live_screen_leaves_the_last_picture_of_each_flow(autojump_clock: MockClock) -> None:
    """While a flow goes on its picture is drawn over; what stays is how it ended, without the processes."""
    terminal = io.StringIO()
    await perform(LiveScreen(Console(file=terminal, force_terminal=True, width=80, legacy_windows=False)))
    lines = lines_on(terminal)
    assert "◌ fan_out  foo/1  suspended" in lines
    assert "processes  ✗ foo/1" in lines
    last = max(number for number, line in enumerate(lines) if line.startswith("fan-out"))
    assert lines[last:] == [
        "fan-out: foo invokes bar  → 2",
        "✓ fan_out  foo/1 → foo/2  done",
        "└── ✓ one  bar/1  done",
        "   1.00 s  foo/1 is killed",
        "processes  ✗ foo/1",
    ]


async def test_live_screen_draws_frames_as_time_goes_on(autojump_clock: MockClock) -> None:
    """The seconds in the heading run, so that a wait does not look like a standstill."""
    terminal = io.StringIO()
    await perform(LiveScreen(Console(file=terminal, force_terminal=True, width=80, legacy_windows=False)))
    lines = lines_on(terminal)
    for seconds in ("0.0 s", "0.5 s", "1.5 s"):
        assert f"fan-out: foo invokes bar  {seconds}" in lines
