"""The parts of the demo that stand between the processes and the audience."""

import io
import sys

import pytest
import trio
from rich.console import Console

from resonate_trio import DivergenceError, Instrument
from resonate_trio.cli.demo.graph import CallGraph, Tally
from resonate_trio.cli.demo.picture import Picture, ProcessState
from resonate_trio.cli.demo.processes import ProcessFailedError, run_child
from resonate_trio.cli.demo.report import Report, Scene
from resonate_trio.cli.demo.table import table
from resonate_trio.cli.demo.wire import EventWriter, perform

SCENE = Scene("caller killed", "foo is killed while it waits", 32, Tally(executed=6, replayed=3))


def test_every_hook_of_an_instrument_is_written_and_read(capsys: pytest.CaptureFixture[str]) -> None:
    """A hook that is added to Instrument must be added to the writer."""
    assert {name for name in vars(Instrument) if not name.startswith("_")} <= set(vars(EventWriter))
    EventWriter().invoked("root:1", "local", "reserve", "root")
    graph = CallGraph()
    assert perform(capsys.readouterr().out, graph.observer("foo/1"))
    assert [child.name for child in graph.children("root")] == ["reserve"]


def test_halted_task_is_told_with_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for and what is stored come through, and the run in the graph is cut."""
    graph = CallGraph()
    graph.observer("foo/1").task_started("root", "flow")
    EventWriter().task_halted("root", DivergenceError("root:1", asked="a timer", stored="a promise"))
    assert perform(line := capsys.readouterr().out, graph.observer("foo/1"))
    assert "a timer" in line
    assert graph.invocation("root").cut_off == 1


def test_readiness_is_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    """It is told to whoever reads the line, not to the instrument."""
    EventWriter().ready()
    assert not perform(capsys.readouterr().out, Instrument())


@pytest.mark.parametrize("line", ['["__init__"]', '["task_paused", "root"]', "Traceback"])
def test_line_that_is_no_event_is_an_error(line: str) -> None:
    """What a service prints by mistake is not taken for an event."""
    with pytest.raises(ValueError, match=r"is no event|Expecting value"):
        perform(line, Instrument())


def test_report_names_each_difference() -> None:
    """A result or a count that is not as it should be is a problem of its own."""
    assert not Report(SCENE, 32, SCENE.tally, 1.0).problems
    assert Report(SCENE, 31, Tally(executed=7, replayed=3), 1.0).problems == [
        "caller killed: result: 31, expected 32",
        "caller killed: steps executed: 7, expected 6",
    ]


def test_report_of_a_flow_that_failed_shows_its_exception() -> None:
    """An exception is no result, whatever was expected."""
    report = Report(SCENE, ValueError("no such item"), SCENE.tally, 1.0)
    assert report.problems == ["caller killed: result: ValueError: no such item, expected 32"]


def drawn(what: object, width: int) -> list[str]:
    """Return what a terminal of a width shows."""
    console = Console(
        file=io.StringIO(), width=width, force_terminal=True, color_system=None, legacy_windows=False
    )
    with console.capture() as capture:
        console.print(what)
    return capture.get().splitlines()


def test_table_fits_into_80_columns() -> None:
    """The longest names and numbers of the demo leave each flow one line."""
    report = Report(Scene("caller killed", "", "sent, signed", Tally(10)), "sent, signed", Tally(10), 12.34)
    lines = drawn(table([report]), 80)
    assert sum("caller killed" in line for line in lines) == 1
    assert max(map(len, lines)) <= 80
    assert lines[-1] == "Everything is as expected."


def test_table_lists_what_differs() -> None:
    """The reasons for exit status 1 stand below the table."""
    lines = drawn(table([Report(SCENE, 33, SCENE.tally, 1.0)]), 80)
    assert lines[-2:] == ["Not as expected:", "  caller killed: result: 33, expected 32"]


@pytest.mark.parametrize("width", [80, 30])
def test_picture_shows_flow_and_processes_a_line_each(width: int) -> None:
    """Each invocation is one line, however narrow the terminal; what has moved shows where to."""
    picture = Picture(CallGraph())
    picture.processes = {"server": ProcessState.RUNNING, "foo/1": ProcessState.KILLED}
    picture.begin(0.0, SCENE)
    graph = picture.graph
    graph.observer("foo/1").task_started("caller-killed", "checkout")
    graph.observer("foo/1").invoked("caller-killed:1", "local", "reserve", "caller-killed")
    graph.killed("foo/1")
    graph.observer("foo/2").task_started("caller-killed", "checkout")
    picture.say(1.5, "foo/1 is killed while it waits for ship")
    lines = drawn(picture.draw(2.0, with_processes=True), width)
    assert [line.rstrip()[:27] for line in lines] == [
        "caller killed: foo is kille",
        "● checkout  foo/1 → foo/2  ",
        "└── ✗ reserve  foo/1  kille",
        "   1.50 s  foo/1 is killed ",
        "",
        "processes  ● server  ✗ foo/",
    ]


@pytest.mark.slow
@pytest.mark.trio
async def test_process_that_ends_unasked_is_reported_with_what_it_said() -> None:
    """Its status and its stderr are in the message; its stdout was read to the end."""
    said: list[str] = []
    program = "import sys; print('out'); print('a', 'b', sep='\\n', file=sys.stderr); sys.exit(3)"
    with trio.fail_after(10):
        with pytest.RaisesGroup(pytest.RaisesExc(ProcessFailedError)) as failure:
            await run_child("foo/1", [sys.executable, "-c", program], said.append)
    assert said == ["out"]
    (error,) = failure.value.exceptions
    assert str(error) == "the process foo/1 ended with status 3, unasked. Its stderr ends with:\n  a\n  b"
