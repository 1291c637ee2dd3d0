"""The benchmarks work: every workload runs, as small as it gets. How long it takes is of no account here."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import orjson
import pytest
from rich.console import Console

from benchmarks._facts import collect_facts
from benchmarks._report import to_document, to_table
from benchmarks._runner import Plan, run
from benchmarks.systems import Calls, Mode, System, Times, WrongResultError, open_system, ours
from benchmarks.workloads import WORKLOADS, Scale

pytestmark = pytest.mark.trio


def unheard(_: str) -> None:
    """Take news of the progress."""


EMBEDDED = [name for name, workload in WORKLOADS.items() if Mode.EMBEDDED_MEMORY in workload.modes]


@pytest.mark.parametrize("name", EMBEDDED)
async def test_workload_runs_embedded(name: str) -> None:
    """Each workload gives at least one case, each case has samples, and none took no time."""
    async with open_system(Mode.EMBEDDED_MEMORY) as system:
        measurements = await WORKLOADS[name].at(Scale.TINY).measure(system, Mode.EMBEDDED_MEMORY)
    assert measurements
    for measurement in measurements:
        assert measurement.operations >= len(measurement.samples_ns) > 0
        assert measurement.elapsed_ns > 0


async def test_rounds_are_summed_up_case_by_case() -> None:
    """A figure has a summary of each round, and a total that counts the samples of all."""
    plan = Plan(["steps", "round-trip"], [Mode.EMBEDDED_MEMORY, Mode.EMBEDDED_DISK], 2, Scale.TINY)
    figures = await run(plan, unheard)
    assert [(figure.workload, figure.case, figure.mode) for figure in figures] == [
        ("steps", "n = 2", "embedded-memory"),
        ("steps", "n = 4", "embedded-memory"),
        ("steps", "n = 2", "embedded-disk"),
        ("steps", "n = 4", "embedded-disk"),
        ("round-trip", "idle workers", "embedded-memory"),
        ("round-trip", "idle workers", "embedded-disk"),
    ]
    for figure in figures:
        assert [summary.samples for summary in figure.rounds] == [figure.total.samples // 2] * 2


async def test_report_has_all_figures_and_the_surroundings() -> None:
    """The table has a row for each figure; the document survives JSON and says what was run, where, and how."""
    plan = Plan(["requests"], [Mode.EMBEDDED_MEMORY], 1, Scale.TINY)
    figures = await run(plan, unheard)
    table = to_table(figures)
    assert table.row_count == len(figures) == 3
    console = Console(width=160)
    with console.capture() as printed:
        console.print(table)
    assert "connections: 2" in printed.get()
    document = orjson.loads(orjson.dumps(to_document(plan, figures, collect_facts())))
    assert [figure["case"] for figure in document["figures"]] == [
        "connections: 1",
        "connections: 2",
        "connections: 2, batches of 3",
    ]
    assert document["parameters"]["workloads"]["requests"]["counted"] == "promises"
    assert document["facts"]["cpus"] >= 1


async def test_wrong_result_is_no_measurement() -> None:
    """A system that returns something else is refused, however fast it was."""
    async with open_system(Mode.EMBEDDED_MEMORY) as system:
        with pytest.RaisesGroup(pytest.RaisesExc(WrongResultError, match=r"echo\(1,\) returned 1, not 2")):
            await system.time_calls(Calls("echo", [1], 2))


async def test_peer_that_fails_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are measured nevertheless, and the results say what is missing."""

    @asynccontextmanager
    async def failing(_mode: Mode, _peers: object) -> AsyncGenerator[System]:
        yield Failing()

    monkeypatch.setattr("benchmarks._runner.open_system", failing)
    left_out: list[str] = []
    assert await run(Plan(["steps"], [Mode.DBOS], 1, Scale.TINY), unheard, None, left_out) == []
    assert left_out == ["round 1 of 1: steps, dbos: no"]
    with pytest.raises(WrongResultError):
        await run(Plan(["steps"], [Mode.HTTP], 1, Scale.TINY), unheard, None, left_out)


class Failing:
    """A system that gives wrong results."""

    async def time_calls(self, calls: Calls) -> Times:
        """Fail."""
        raise WrongResultError("no")


HTTP_ONLY = [name for name, workload in WORKLOADS.items() if workload.modes == (Mode.HTTP,)]


@pytest.mark.slow
@pytest.mark.parametrize("names", [["rfcs", "requests"], HTTP_ONLY], ids=["both", "http only"])
async def test_processes_are_started_and_stopped(names: list[str]) -> None:
    """Over HTTP, a server and two workers are started, reached by the SDK and past it, and stopped."""
    async with open_system(Mode.HTTP) as system:
        for name in names:
            assert await WORKLOADS[name].at(Scale.TINY).measure(system, Mode.HTTP)


async def test_peer_has_no_server_of_ours() -> None:
    """A workload that asks the server past the SDK refuses what has none."""
    with pytest.raises(TypeError, match="peer"):
        ours(object())
