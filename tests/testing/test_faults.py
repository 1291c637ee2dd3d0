"""Faults: planned ones, and random ones from a seed."""

from functools import partial

import pytest
import trio

from resonate_trio import UsageError, WorkerOptions, testing

from .flows import count, fan_out
from .test_world import in_world

MANY = testing.Faults(
    crash_before=0.02,
    crash_after=0.02,
    lose_request=0.05,
    lose_reply=0.05,
    duplicate_request=0.05,
    delay_request=0.1,
    delay_reply=0.1,
    cut=0.02,
    expire_lease=0.05,
    restart_server=0.02,
    lose_message=0.1,
    duplicate_message=0.1,
    delay_message=0.2,
)
PLANNED = [
    "crash_before",
    "crash_after",
    "lose_request",
    "lose_reply",
    "duplicate_request",
    "delay_request",
    "delay_reply",
    "cut",
    "expire_lease",
    "restart_server",
]


async def stormy(world: testing.World) -> tuple[int, str]:
    """Run a flow on three workers while everything goes wrong; return its result and the trace."""
    for _ in range(3):
        await world.start_worker(fan_out, count, options=WorkerOptions(lease=3))
    world.faults = MANY
    handle = await world.client.rfi("a", fan_out, 5)
    with trio.move_on_after(60):
        await handle
    world.faults = testing.Faults()
    return await handle, str(world.trace)


@pytest.mark.parametrize("seed", range(10))
def test_a_flow_gets_through_a_storm(seed: int) -> None:
    """Whatever goes wrong, the result is right in the end; the same seed gives the same trace, byte for byte."""
    result, trace = in_world(stormy, seed=seed)
    assert result == 10
    assert in_world(stormy, seed=seed) == (result, trace)


def test_a_flow_gets_through_a_storm_on_a_server_without_extensions() -> None:
    """Each step is several requests then."""
    result, trace = in_world(stormy, extensions=frozenset())
    assert result == 10
    assert "batch" not in trace


def test_another_seed_gives_another_storm() -> None:
    """Seeds are not all the same."""
    assert in_world(stormy, seed=1)[1] != in_world(stormy, seed=2)[1]


async def with_planned(fault: testing.Fault, world: testing.World) -> tuple[int, str]:
    """Run a flow with one fault in it."""
    process = await world.start_worker(count, options=WorkerOptions(lease=3))
    world.plan(fault, id="a:2", process=process)
    return await world.client.rfc("a", count, 3), str(world.trace)


@pytest.mark.parametrize("fault", PLANNED)
def test_a_planned_fault_happens_where_it_was_planned(fault: testing.Fault) -> None:
    """It hits one request, which the trace shows, and the result is as without it."""
    result, trace = in_world(partial(with_planned, fault))
    assert result == 3
    assert trace != in_world(stable)[1]


async def stable(world: testing.World) -> tuple[int, str]:
    """Run a flow without a fault."""
    await world.start_worker(count, options=WorkerOptions(lease=3))
    return await world.client.rfc("a", count, 3), str(world.trace)


@pytest.mark.parametrize("fault", ["lose_message", "duplicate_message", "delay_message"])
def test_a_planned_fault_hits_a_message(fault: testing.Fault) -> None:
    """What is lost, comes twice or late is made up for."""

    async def main(world: testing.World) -> tuple[int, str]:
        await world.start_worker(count)
        world.plan(fault, kind="unblock")
        world.plan(fault, kind="execute")
        return await world.client.rfc("a", count, 1), str(world.trace)

    result, trace = in_world(main)
    assert result == 1
    if fault == "lose_message":
        assert "lost: execute a" in trace
        assert "lost: unblock a" in trace


def test_a_plan_lets_some_pass_and_ends() -> None:
    """`after` and `times` count the requests that fit."""

    async def main(world: testing.World) -> list[str]:
        await world.start_worker(count)
        world.plan("lose_request", kind="promise.register_listener", after=1, times=2)
        for id in "abc":
            await (await world.client.rfi(id, count, 0))
        return [line.split("  ")[-1] for line in world.trace.lines if "listener" in line or "lost" in line]

    sent = [f"-> promise.register_listener {id}" for id in "abbbc"]
    lost = "the request is lost"
    received = "<- promise.register_listener 200"
    assert in_world(main) == [
        sent[0],
        received,
        sent[1],
        lost,
        sent[2],
        lost,
        sent[3],
        received,
        sent[4],
        received,
    ]


def test_an_unknown_fault_is_refused() -> None:
    """The message names those there are."""

    async def main(world: testing.World) -> None:
        with pytest.raises(UsageError, match="lose_reply"):
            world.plan("explode")  # type: ignore[arg-type]

    in_world(main)


@pytest.mark.parametrize("values", [{"cut": 2}, {"cut": -0.1}, {"max_delay": -1}])
def test_impossible_faults_are_refused(values: dict[str, float]) -> None:
    """A probability is one, and a time is one."""
    with pytest.raises(UsageError, match=next(iter(values))):
        testing.Faults(**values)
