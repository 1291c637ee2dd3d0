"""What the published clients offer, each with its own calls, against our server."""

import math

import pytest

from resonate_trio import Client
from tests.e2e.kit import invoke_gate

from .kit import FailedError, Language, Stage

pytestmark = [pytest.mark.trio, pytest.mark.slow]

EVERY_SECOND = "* * * * * *"


async def test_run_executes_here_and_once(stage: Stage, published: Language) -> None:
    """A function that is run again by its id, from another process, gives what the first run gave."""
    first = await stage.call(published, "run", "once", "pid", [])
    assert isinstance(first, int)
    assert await stage.call(published, "run", "once", "pid", []) == first


async def test_rpc_executes_in_another_process(stage: Stage, published: Language) -> None:
    """The result comes from the worker of the group."""
    worker = await stage.worker(published, "workers")
    assert await stage.call(published, "rpc", "called", "workers", "pid", []) == worker.child.pid


async def test_fan_out_reaches_two_groups_at_once(stage: Stage, published: Language) -> None:
    """A function invokes others of two groups and gathers their results."""
    bar, baz = [await stage.worker(published, group) for group in ("bar", "baz")]
    calls = [["bar", "pid", []], ["baz", "pid", []]]
    expected = [{"value": bar.child.pid}, {"value": baz.child.pid}]
    assert await stage.call(published, "run", "fan-out", "gather", [calls]) == expected


async def test_chain_passes_through_three_processes(stage: Stage, published: Language) -> None:
    """A function calls one that calls one; the result comes all the way back."""
    await stage.worker(published, "bar")
    baz = await stage.worker(published, "baz")
    chain = ["bar", "relay", ["baz", "pid", []]]
    assert await stage.call(published, "run", "chain", "relay", chain) == baz.child.pid


async def test_detached_invocation_outlives_its_caller(stage: Stage, published: Language) -> None:
    """The caller returns although nobody is there to execute what it hands over, which is handed on in turn."""
    handed_on = ["bar", "handOver", ["baz", "tell", ["it"]]]
    assert await stage.call(published, "run", "sent", "handOver", handed_on) == "handed over"
    await stage.worker(published, "bar")
    baz = await stage.worker(published, "baz")
    await baz.says("told it")


async def test_recursion_over_a_group(stage: Stage, published: Language) -> None:
    """A function invokes itself remotely until it needs not."""
    await stage.worker(published, "math")
    assert await stage.call(published, "rpc", "recursion", "math", "factorial", ["math", 8]) == math.factorial(8)


async def test_sleep_takes_as_long_as_it_should(stage: Stage, published: Language) -> None:
    """A durable sleep is over at its deadline, by the clock of the server."""
    await stage.worker(published, "beds")
    assert await stage.call(published, "rpc", "night", "beds", "nap", [0.5]) == "rested"
    async with Client(stage.url) as client:
        night = await client.promises.get("night")
    assert night.settled_at is not None
    assert night.settled_at - night.created_at >= 500


async def test_external_promise_is_settled_by_another_process(stage: Stage, published: Language) -> None:
    """A function waits for a promise, suspended, until somebody who knows its id settles it."""
    worker = await stage.worker(published, "minds")
    async with Client(stage.url) as client:
        wonder = await client.options(group="minds").rfi("wonder", "wonder")
        await worker.until(lambda: bool(worker.said))
        await stage.call(published, "resolve", worker.said[0].removeprefix("wonders "), {"answer": "grün"})
        assert await wonder == {"answer": "grün"}


async def test_schedule_fires_until_it_is_deleted(stage: Stage, published: Language) -> None:
    """A worker of the group executes the function at each instant."""
    worker = await stage.worker(published, "clocks")
    await stage.call(published, "schedule", "chime", EVERY_SECOND, "clocks", "tell", ["the hour"])
    await worker.until(lambda: len(worker.said) >= 2)
    assert set(worker.said) == {"told the hour"}
    await stage.call(published, "unschedule", "chime")
    with pytest.raises(FailedError, match="the schedule 'chime' does not exist"):
        await stage.call(published, "unschedule", "chime")


@pytest.mark.parametrize("where", [["run", "failing"], ["rpc", "failing", "workers"]], ids=["run", "rpc"])
async def test_rejected_function_raises_at_its_caller(stage: Stage, published: Language, where: list[str]) -> None:
    """What a function raises, its caller gets, with the message."""
    await stage.worker(published, "workers")
    with pytest.raises(FailedError, match="no such item"):
        await stage.call(published, *where, "fail", ["no such item"])


async def test_task_of_a_killed_worker_is_finished_by_another(stage: Stage, published: Language) -> None:
    """When the lease of a dead worker is over, another of its group runs the task from the start."""
    first = await stage.worker(published, "holders", lease_ms=1_000)
    async with Client(stage.url) as client:
        await invoke_gate(client, "gate")
        held = await client.options(group="holders").rfi("held", "hold", "gate")
        await first.says("holds")
        await first.child.kill()
        second = await stage.worker(published, "holders")
        await second.says("holds")
        await client.promises.resolve("gate", "open")
        assert await held == "open"
