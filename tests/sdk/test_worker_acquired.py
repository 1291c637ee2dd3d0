"""Tasks that come acquired: each runs, or is released, whatever comes in between."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio

from resonate_trio import Context, Resonate
from resonate_trio._codec import Call
from resonate_trio._worker import Worker
from resonate_trio.protocol import (
    Empty,
    Execute,
    Promise,
    PromiseCancel,
    PromiseReply,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
)

from .kit import Gauge, Recorder, World, decoded, in_virtual_time, register_run

pytestmark = [in_virtual_time, pytest.mark.needs_extension("acquired")]

ELSEWHERE = "elsewhere"
"""A group in which nobody listens: its tasks come by hand."""


def worker_of(app: Resonate) -> Worker:
    """Return the worker of an application that is open."""
    return app._require_running().worker


async def release_by_hand(world: World, message: Execute) -> None:
    """End the lease of a task that came acquired."""
    await world.ask(TaskRelease(message.id, message.version), Empty)


def partial(message: Execute, *preload: Promise) -> Execute:
    """Return a message with only a part of what is stored."""
    assert message.acquired is not None
    return attrs.evolve(message, acquired=attrs.evolve(message.acquired, preload=preload, partial=True))


@asynccontextmanager
async def waiting(world: World, app: Resonate, gauge: Gauge) -> AsyncGenerator[Execute]:
    """Have a task "b", which came acquired, wait for the only seat, which "a" has for 30 s. Yield the message."""
    register_run(app, gauge)
    async with app:
        await app.rfi("a", "run", 30)
        await trio.sleep(1)
        await world.create_by_hand("b", Call("run", [1]), group=ELSEWHERE)
        message = await world.acquire_for(app, "b")
        worker_of(app).receive(message)
        await trio.sleep(1)
        assert gauge.total == 1
        yield message


# --- As usual -----------------------------------------------------------------------------------------


async def test_task_that_comes_acquired_costs_one_request(world: World) -> None:
    """It is fulfilled; nothing else is asked for."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    async with app:
        await app.rfc("a", "run", 1)
        kinds = [request.kind for request in world.wire.requests if request.kind.startswith("task.")]
        assert kinds == ["task.fulfill"]


async def test_worker_takes_both_kinds_of_messages(world: World) -> None:
    """A server may change its mind from task to task."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    async with app:
        await world.create_by_hand("a", Call("run", [1]), group=ELSEWHERE)
        await world.create_by_hand("b", Call("run", [1]), group=ELSEWHERE)
        worker_of(app).receive(Execute("a", 0))
        worker_of(app).receive(await world.acquire_for(app, "b"))
        await trio.sleep(2)
        assert [(await world.task(id)).state for id in "ab"] == ["fulfilled", "fulfilled"]
    assert gauge.total == 2


async def test_parked_execution_goes_on_with_what_woke_it(world: World, recorder: Recorder) -> None:
    """A part of the preload is enough for one that is still in memory."""
    app = world.resonate(instrument=recorder)

    @app.register
    async def flow(ctx: Context) -> list[object]:
        promises = [await ctx.promise() for _ in range(3)]
        return [await promise for promise in promises]

    async with app:
        await world.create_by_hand("a", Call("flow"), group=ELSEWHERE)
        worker_of(app).receive(await world.acquire_for(app, "a"))
        await trio.sleep(1)
        for n in (3, 2, 1):
            await world.resolve(f"a:{n}", n)
        message = await world.acquire_for(app, "a")
        worker_of(app).receive(partial(message, await world.promise("a:1")))
        await trio.sleep(1)
        assert decoded((await world.promise("a")).value) == [1, 2, 3]
    assert recorder.of("a") == ["started", "suspended", "resumed", "finished"]
    assert world.wire.count("task.release") == world.wire.count("promise.get") == 0


@pytest.mark.usefixtures("finite_leases")
async def test_half_a_lease_is_relied_upon_without_a_heartbeat(world: World, recorder: Recorder) -> None:
    """Nobody knows for how long the message was on its way."""
    app = world.resonate(lease=10, instrument=recorder)
    register_run(app, Gauge())
    async with app:
        await app.rfi("a", "run", 30)
        await trio.sleep(4.9)
        assert recorder.of("a") == ["started"]
        await trio.sleep(0.2)
        assert recorder.of("a") == ["started", "dropped"]


@pytest.mark.usefixtures("server_elsewhere")
async def test_task_that_comes_acquired_is_told_of_soon(world: World) -> None:
    """One heartbeat tells of all that came meanwhile, and from then on the whole lease counts."""
    app, gauge = world.resonate(lease=10), Gauge()
    register_run(app, gauge)
    async with app:
        handles = [await app.rfi(id, "run", 30) for id in "abc"]
        await trio.sleep(1.1)
        beats = [request for request in world.wire.requests if isinstance(request, TaskHeartbeat)]
        assert [beat.tasks for beat in beats] == [[TaskRef(id, 1) for id in "abc"]]
        for handle in handles:
            await handle
    assert gauge.total == 3


@pytest.mark.usefixtures("server_elsewhere")
async def test_task_that_is_over_soon_costs_no_heartbeat(world: World) -> None:
    """However many of them there are."""
    app = world.resonate(lease=10)
    register_run(app, Gauge())
    async with app:
        for n in range(20):
            await app.rfc(f"a{n}", "run", 0.5)
        assert world.wire.count("task.heartbeat") == 0


# --- Messages that come twice, late, or too early ------------------------------------------------------


async def test_message_that_comes_twice_is_taken_once(world: World) -> None:
    """While the task runs here, and while it waits for a seat."""
    app, gauge = world.resonate(capacity=1), Gauge()
    async with waiting(world, app, gauge) as message:
        worker_of(app).receive(message)
        worker_of(app).receive(Execute("b", 0))
        await trio.sleep(29)
        assert gauge.total == 2
        worker_of(app).receive(message)
        await trio.sleep(2)
        assert (await world.task("b")).state == "fulfilled"
    assert gauge.total == 2


async def test_newer_message_ends_the_execution_at_the_older_version(world: World, recorder: Recorder) -> None:
    """The lease of that has ended, whatever our clock says: its seat is free. An older message changes nothing."""
    app, gauge = world.resonate(capacity=1, instrument=recorder), Gauge()
    register_run(app, gauge)
    async with app:
        await world.create_by_hand("a", Call("run", [10]), group=ELSEWHERE)
        first = await world.acquire_for(app, "a")
        worker_of(app).receive(first)
        await trio.sleep(1)
        await release_by_hand(world, first)
        worker_of(app).receive(await world.acquire_for(app, "a"))
        worker_of(app).receive(first)
        await trio.sleep(11)
        assert (await world.task("a")).version == 2
    assert sorted(recorder.of("a")) == ["dropped", "finished", "started", "started"]


async def test_newer_message_takes_the_place_of_one_that_waits(world: World) -> None:
    """Once there is a seat, the task runs once, at its newest version."""
    app, gauge = world.resonate(capacity=1), Gauge()
    async with waiting(world, app, gauge) as message:
        await release_by_hand(world, message)
        worker_of(app).receive(await world.acquire_for(app, "b"))
        await trio.sleep(31)
        assert (await world.task("b")).state == "fulfilled"
    assert gauge.total == 2
    assert world.wire.count("task.release") == 0


async def test_offer_takes_the_place_of_what_has_lost_its_lease(world: World) -> None:
    """Of a task that came acquired and waits, an offer at that very version says that its lease has ended."""
    app, gauge = world.resonate(capacity=1), Gauge()
    async with waiting(world, app, gauge) as message:
        await release_by_hand(world, message)
        worker_of(app).receive(Execute("b", message.version))
        await trio.sleep(31)
        assert (await world.task("b")).version == message.version + 1
    assert gauge.total == 2


async def test_task_that_comes_acquired_takes_the_place_of_its_offer(world: World) -> None:
    """An offer that waits for a seat is obsolete then."""
    app, gauge = world.resonate(capacity=1), Gauge()
    register_run(app, gauge)
    async with app:
        await app.rfi("a", "run", 10)
        await trio.sleep(1)
        await world.create_by_hand("b", Call("run", [1]), group=ELSEWHERE)
        worker_of(app).receive(Execute("b", 0))
        await trio.sleep(1)
        worker_of(app).receive(await world.acquire_for(app, "b"))
        await trio.sleep(20)
        assert (await world.task("b")).state == "fulfilled"
    assert gauge.total == 2
    assert world.wire.count("task.acquire") == 0


async def test_reply_that_comes_after_a_newer_message_starts_nothing(world: World) -> None:
    """What we acquired ourselves was lost before we heard of it."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    gate = world.wire.gates["task.acquire"] = trio.Event()
    async with app:
        await world.create_by_hand("a", Call("run", [10]), group=ELSEWHERE)
        worker_of(app).receive(Execute("a", 0))
        await trio.sleep(1)
        await world.ask(TaskRelease("a", 1), Empty)
        worker_of(app).receive(await world.acquire_for(app, "a"))
        await trio.sleep(1)
        gate.set()
        await trio.sleep(10)
        assert (await world.task("a")).state == "fulfilled"
    assert gauge.total == 1


async def test_local_call_takes_the_place_of_what_has_lost_its_lease(world: World) -> None:
    """The application acquires the task by itself while an older message about it waits for a seat."""
    app, gauge = world.resonate(capacity=1), Gauge()
    async with waiting(world, app, gauge) as message:
        await release_by_hand(world, message)
        await app.lfc("b", "run", 1)
        await trio.sleep(31)
    assert gauge.total == 2


async def test_local_call_that_was_overtaken_starts_nothing(world: World) -> None:
    """Its task was lost and has come again before the application heard that it had acquired it."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    gate = world.wire.gates["task.create"] = trio.Event()
    async with app, trio.open_nursery() as nursery:
        nursery.start_soon(app.lfc, "a", "run", 10)
        await trio.sleep(1)
        world.wire.loses_messages = True
        await world.ask(TaskRelease("a", 1), Empty)
        await trio.sleep(1)
        world.wire.loses_messages = False
        await release_by_hand(world, Execute("a", 2))
        await trio.sleep(1)
        assert gauge.total == 1
        gate.set()
    assert gauge.total == 1


async def test_message_that_overtakes_the_reply_to_a_suspension_waits_for_it(
    world: World, recorder: Recorder
) -> None:
    """The execution goes on as soon as it is parked, though none may be kept. An old message changes nothing."""
    app = world.resonate(instrument=recorder, max_parked=0)

    @app.register
    async def flow(ctx: Context) -> object:
        return await (await ctx.promise())

    async with app:
        gate = world.wire.gates["task.suspend"] = trio.Event()
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        await world.resolve("a:1", "x")
        await trio.sleep(1)
        assert (await world.task("a")).state == "acquired"
        worker_of(app).receive(Execute("a", 1))
        gate.set()
        assert await handle == "x"
    assert recorder.of("a") == ["started", "suspended", "resumed", "finished"]
    assert world.wire.count("task.acquire") == 0


# --- What is not to run here is given back -------------------------------------------------------------


async def test_part_of_a_preload_is_given_back_if_nothing_is_parked(world: World) -> None:
    """The task comes again with everything. Its seat is free meanwhile."""
    app, gauge = world.resonate(capacity=1), Gauge()
    register_run(app, gauge)
    async with app:
        await world.create_by_hand("a", Call("run", [1]), group=ELSEWHERE)
        worker_of(app).receive(partial(await world.acquire_for(app, "a")))
        await trio.sleep(1)
        assert (await world.task("a")).state == "pending"
        worker_of(app).receive(await world.acquire_for(app, "a"))
        await trio.sleep(2)
    assert gauge.total == 1
    assert (await world.task("a")).version == 2


async def test_drain_releases_what_waits_for_a_seat(world: World) -> None:
    """At once, and not at the end of the grace."""
    app, gauge = world.resonate(capacity=1, grace=40), Gauge()
    async with waiting(world, app, gauge):
        worker_of(app).stop_taking()
        await trio.sleep(1)
        assert (await world.task("b")).state == "pending"
    assert gauge.total == 1


async def test_drain_releases_what_still_comes(world: World) -> None:
    """The server may have sent it before it knew."""
    app, gauge = world.resonate(grace=5), Gauge()
    register_run(app, gauge)
    async with app:
        worker = worker_of(app)
        await world.create_by_hand("b", Call("run", [1]), group=ELSEWHERE)
        worker.stop_taking()
        worker.receive(await world.acquire_for(app, "b"))
        await trio.sleep(1)
        assert (await world.task("b")).state == "pending"
    assert gauge.total == 0


async def test_drain_tells_the_server_what_goes_on(world: World) -> None:
    """Before the stream ends, with which the server takes back what it has heard nothing of."""
    app, gauge = world.resonate(grace=5), Gauge()
    register_run(app, gauge)
    async with app:
        await app.rfi("a", "run", 3)
        await trio.sleep(0.5)
        assert world.wire.count("task.heartbeat") == 0
    assert world.wire.count("task.heartbeat") == 1
    assert gauge.total == 1
    assert (await world.task("a")).state == "fulfilled"


async def test_drain_goes_on_if_the_server_cannot_be_told(world: World) -> None:
    """It is told in vain, and the grace is as ever."""
    app, gauge = world.resonate(grace=5), Gauge()
    register_run(app, gauge)
    world.wire.lost_requests["task.heartbeat"] = 10**6
    async with app:
        await app.rfi("a", "run", 3)
        await trio.sleep(0.5)
    assert trio.current_time() == pytest.approx(3, abs=0.1)


@pytest.mark.usefixtures("finite_leases")
async def test_task_whose_lease_ends_before_it_has_a_seat_is_given_back(world: World) -> None:
    """It is not run later on."""
    app, gauge = world.resonate(capacity=1, lease=10), Gauge()
    register_run(app, gauge)
    async with app:
        await app.lfi("a", "run", 7)  # its lease is a whole one
        await world.create_by_hand("b", Call("run", [1]), group=ELSEWHERE)
        worker = worker_of(app)
        await worker._seats.acquire()
        worker.receive(await world.acquire_for(app, "b"))
        await trio.sleep(4.9)
        assert (await world.task("b")).state == "acquired"
        await trio.sleep(0.2)
        assert (await world.task("b")).state == "pending"
        worker._seats.release()
        await trio.sleep(1)
    assert gauge.total == 1


@pytest.mark.usefixtures("server_elsewhere")
async def test_lease_is_kept_alive_while_a_task_waits_for_a_seat(world: World) -> None:
    """It may have to wait for longer than a lease."""
    app, gauge = world.resonate(capacity=1, lease=10), Gauge()
    async with waiting(world, app, gauge):
        await trio.sleep(32)
        assert (await world.task("b")).version == 1
        assert (await world.task("b")).state == "fulfilled"
    assert gauge.total == 2


@pytest.mark.usefixtures("server_elsewhere")
async def test_task_that_is_lost_while_it_waits_for_a_seat_is_not_run(world: World) -> None:
    """A heartbeat says so."""
    app, gauge = world.resonate(capacity=1, lease=10), Gauge()
    async with waiting(world, app, gauge) as message:
        await release_by_hand(world, message)
        await trio.sleep(4)
        assert "b" not in worker_of(app)._offers
        await trio.sleep(30)
    assert gauge.total == 1


async def test_seat_of_what_is_withdrawn_at_that_moment_is_not_lost(world: World) -> None:
    """It was just given to a task when a newer message came."""
    app, gauge = world.resonate(capacity=1), Gauge()
    async with waiting(world, app, gauge) as message:
        await release_by_hand(world, message)
        newer = await world.acquire_for(app, "b")
        worker_of(app)._seats.release()
        worker_of(app).receive(newer)
        await trio.sleep(2)
        assert (await world.task("b")).state == "fulfilled"


async def test_release_that_fails_is_left_to_the_lease(world: World) -> None:
    """The worker goes on."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    world.wire.answer = lambda request: (500, "broken") if isinstance(request, TaskRelease) else None
    async with app:
        await world.create_by_hand("a", Call("run", [1]), group=ELSEWHERE)
        worker_of(app).receive(partial(await world.acquire_for(app, "a")))
        await app.rfc("b", "run", 1)
    assert gauge.total == 1


# --- Cancellation ---------------------------------------------------------------------------------------


@pytest.mark.needs_extension("cancel")
async def test_task_that_is_cancelled_before_it_has_a_seat_never_runs(world: World) -> None:
    """The message that says so comes while it waits; one for another version is not for it."""
    app, gauge = world.resonate(capacity=1), Gauge()
    async with waiting(world, app, gauge) as message:
        worker_of(app).cancel("b", message.version + 1)
        held = worker_of(app)._offers["b"].held
        assert held is not None
        assert not held.is_cancelled
        worker_of(app).cancel("b", message.version)
        await trio.sleep(31)
        assert (await world.promise("b")).state == "rejected_canceled"
    assert gauge.total == 1


@pytest.mark.needs_extension("cancel")
@pytest.mark.usefixtures("server_elsewhere")
async def test_heartbeat_cancels_what_waits_for_a_seat(world: World) -> None:
    """If the message got lost."""
    app, gauge = world.resonate(capacity=1, lease=10), Gauge()
    async with waiting(world, app, gauge):
        world.wire.loses_messages = True
        await world.ask(PromiseCancel("b", 100_000), PromiseReply)
        await trio.sleep(31)
        assert (await world.promise("b")).state == "rejected_canceled"
    assert gauge.total == 1


@pytest.mark.needs_extension("cancel")
async def test_task_that_comes_acquired_and_cancelled_never_runs(world: World) -> None:
    """As one that is acquired by request."""
    app, gauge = world.resonate(), Gauge()
    register_run(app, gauge)
    async with app:
        await world.create_by_hand("a", Call("run", [1]), group=ELSEWHERE)
        await world.ask(PromiseCancel("a", 100_000), PromiseReply)
        worker_of(app).receive(await world.acquire_for(app, "a"))
        await trio.sleep(1)
        assert (await world.promise("a")).state == "rejected_canceled"
    assert gauge.total == 0
