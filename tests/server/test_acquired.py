"""Tasks that come acquired: one round trip less for a worker that asked for them."""

import anyio
import pytest
from anyio.lowlevel import checkpoint

from resonate_trio.protocol import (
    Acquired,
    Batch,
    Envelope,
    Execute,
    Head,
    PromiseRegisterCallback,
    PromiseSettle,
    PromiseState,
    Task,
    TaskAcquire,
    TaskContinue,
    TaskFence,
    TaskGet,
    TaskHalt,
    TaskHeartbeat,
    TaskRef,
    TaskRelease,
    TaskReply,
    TaskState,
    TaskSuspend,
)
from server_ref.clock import LoopClock
from server_ref.delivery import Connection
from server_ref.engine import Engine
from server_ref.store import MemoryStore, StoreError

from .engine_kit import EPOCH_MS, ProbedStore, SettableClock, an_engine, ask, create, task_state_of, waits

pytestmark = pytest.mark.anyio

TARGET = "poll://any@g"
TTL = 60_000


async def next_task(connection: Connection) -> tuple[str, int]:
    """Return id and version of the next task, which comes acquired."""
    with anyio.fail_after(60):
        message = await anext(connection)
    assert isinstance(message, Execute)
    assert message.acquired is not None
    assert message.acquired.task.state is TaskState.ACQUIRED
    assert (message.acquired.task.id, message.acquired.task.version) == (message.id, message.version)
    return message.id, message.version


async def task(engine: Engine, id: str) -> Task:
    """Return a task."""
    reply = await ask(engine, TaskGet(id))
    assert isinstance(reply.data, TaskReply)
    return reply.data.task


async def execute(connection: Connection) -> tuple[int, list[str], bool]:
    """Return version, preload, and whether that is only what woke it, of the next task."""
    with anyio.fail_after(60):
        message = await anext(connection)
    assert isinstance(message, Execute)
    assert message.acquired is not None
    return message.version, [promise.id for promise in message.acquired.preload], message.acquired.partial


async def suspend(engine: Engine, id: str, version: int, *awaited: str) -> None:
    """Suspend a task until one of these promises settles."""
    actions = [Envelope(Head("c"), PromiseRegisterCallback(other, id)) for other in awaited]
    assert (await ask(engine, TaskSuspend(id, version, actions))).status == 200


async def settle(engine: Engine, id: str) -> None:
    """Resolve a promise."""
    assert (await ask(engine, PromiseSettle(id, PromiseState.RESOLVED))).status == 200


async def a_suspended_task(engine: Engine, connection: Connection) -> None:
    """Have a worker take the task `t`, with three promises in its branch, and suspend it on the last two."""
    for id in ("t:1", "t:2", "t:3"):
        await ask(engine, create(id, branch="t"))
    await ask(engine, create("t", target=TARGET))
    assert await execute(connection) == (1, ["t:1", "t:2", "t:3"], False)
    await suspend(engine, "t", 1, "t:2", "t:3")


async def settled_down(engine: Engine, id: str, state: TaskState) -> None:
    """Wait until a task is in a state."""
    with anyio.fail_after(10):
        while await task_state_of(engine, id) is not state:
            await checkpoint()


async def test_task_comes_with_what_acquiring_it_gives() -> None:
    """The task, its promise and its preload; and it is held."""
    clock = SettableClock()
    async with an_engine(clock=clock) as engine, engine.connect("g", "a", ttl=TTL) as connection:
        await ask(engine, create("t:1", branch="t"))
        await ask(engine, create("t", target=TARGET))
        message = await anext(connection)
        assert isinstance(message, Execute)
        assert isinstance(message.acquired, Acquired)
        assert (
            message.acquired.task == Task("t", TaskState.ACQUIRED, 1, ttl=TTL, pid="a") == await task(engine, "t")
        )
        assert message.acquired.promise.id == "t"
        assert [promise.id for promise in message.acquired.preload] == ["t:1"]
        assert (await ask(engine, TaskAcquire("t", 0, "b", TTL))).status == 409


async def test_task_is_acquired_in_the_store_before_it_is_sent() -> None:
    """A server that is started over the same store knows the holder."""
    store = MemoryStore()
    async with an_engine(store) as engine, engine.connect("g", "a", ttl=TTL) as connection:
        await ask(engine, create("t", target=TARGET))
        await next_task(connection)
        held = store.transact(lambda draft: draft.task("t"))
        assert held is not None
        assert (held.state, held.pid) == (TaskState.ACQUIRED, "a")


async def test_worker_without_ttl_acquires_by_itself() -> None:
    """It gets the message of old."""
    async with an_engine() as engine, engine.connect("g", "a", capacity=5) as connection:
        await ask(engine, create("t", target=TARGET))
        assert await anext(connection) == Execute("t", 0)


async def test_capacity_bounds_what_is_acquired() -> None:
    """The rest stays pending until there is room."""
    async with an_engine() as engine, engine.connect("g", "a", capacity=2, ttl=TTL) as connection:
        for id in ("t1", "t2", "t3"):
            await ask(engine, create(id, target=TARGET))
        assert [await next_task(connection), await next_task(connection)] == [("t1", 1), ("t2", 1)]
        assert await task_state_of(engine, "t3") is TaskState.PENDING
        await ask(engine, PromiseSettle("t1", PromiseState.RESOLVED))
        assert await next_task(connection) == ("t3", 1)


async def test_tasks_that_are_due_together_are_acquired_in_one_turn() -> None:
    """Not one by one."""
    store = ProbedStore()
    async with an_engine(store) as engine:
        for number in range(50):
            await ask(engine, create(f"t{number}", target=TARGET))
        before = store.transactions
        async with engine.connect("g", "a", ttl=TTL) as connection:
            for _ in range(50):
                await next_task(connection)
            assert store.transactions - before == 1


async def test_what_was_not_handed_over_when_the_worker_goes_is_released() -> None:
    """At once, and another worker gets it: what it had not taken, and what it had just taken."""
    async with an_engine() as engine:
        async with engine.connect("g", "a", ttl=TTL) as connection:
            for id in ("t1", "t2", "t3"):
                await ask(engine, create(id, target=TARGET))
            assert await next_task(connection) == ("t1", 1)
            await ask(engine, TaskHeartbeat("a", [TaskRef("t1", 1)]))
            assert await next_task(connection) == ("t2", 1)
        for id in ("t2", "t3"):
            await settled_down(engine, id, TaskState.PENDING)
        assert await task_state_of(engine, "t1") is TaskState.ACQUIRED
        async with engine.connect("g", "b", ttl=TTL) as connection:
            assert {await next_task(connection), await next_task(connection)} == {("t2", 2), ("t3", 2)}


async def test_task_that_is_acquired_for_a_worker_that_has_gone_is_released() -> None:
    """The worker went while the acquisition was being stored."""
    async with an_engine() as engine:
        await ask(engine, create("t", target=TARGET))
        async with engine.connect("g", "a", ttl=TTL):  # which has it acquired in the next turn
            pass
        async with engine.connect("g", "b", ttl=TTL) as connection:
            assert await next_task(connection) == ("t", 2)
        assert (await task(engine, "t")).version == 2


async def test_task_that_ended_before_it_was_taken_is_not_sent() -> None:
    """Nor is one that somebody else gave back; that is acquired anew."""
    async with an_engine() as engine, engine.connect("g", "a", ttl=TTL) as connection:
        for id in ("t1", "t2", "t3"):
            await ask(engine, create(id, target=TARGET))
        await settled_down(engine, "t3", TaskState.ACQUIRED)
        await ask(engine, PromiseSettle("t1", PromiseState.RESOLVED))
        await ask(engine, TaskRelease("t2", 1))
        assert {await next_task(connection), await next_task(connection)} == {("t2", 2), ("t3", 1)}


@waits
async def test_lease_begins_when_the_task_is_acquired() -> None:
    """A worker that does not take it in time loses it, and it is sent anew."""
    async with an_engine(clock=LoopClock(EPOCH_MS)) as engine, engine.connect("g", "a", ttl=1_000) as connection:
        await ask(engine, create("t", target=TARGET))
        await anyio.sleep(1.5)
        assert await next_task(connection) == ("t", 2)


@waits
async def test_task_that_could_not_be_acquired_is_tried_again() -> None:
    """The store failed meanwhile."""
    store = ProbedStore()
    async with an_engine(store, clock=LoopClock(EPOCH_MS)) as engine:
        await ask(engine, create("t", target=TARGET))
        store.failure = StoreError("the disk is full")
        async with engine.connect("g", "a", capacity=1, ttl=TTL) as connection:
            await anyio.sleep(2)
            store.failure = None
            assert await next_task(connection) == ("t", 1)


async def test_worker_sees_of_the_preload_what_it_may_see() -> None:
    """As in the reply to task.acquire."""
    async with an_engine() as engine, engine.connect("g", "a", prefix="r:2", ttl=TTL) as connection:
        for id in ("r:1", "r:2.1"):
            await ask(engine, create(id, branch="r"))
        await ask(engine, create("r:2", target=TARGET, branch="r"))
        message = await anext(connection)
        assert isinstance(message, Execute)
        assert message.acquired is not None
        assert [promise.id for promise in message.acquired.preload] == ["r:2.1"]


async def test_tasks_that_wait_for_their_worker_are_released_when_the_server_goes_down() -> None:
    """They need not wait for their leases in the next run."""
    store = MemoryStore()
    async with an_engine(store) as engine, engine.connect("g", "a", ttl=TTL):
        await ask(engine, create("t", target=TARGET))
        await settled_down(engine, "t", TaskState.ACQUIRED)
    released = store.transact(lambda draft: draft.task("t"))
    assert released is not None
    assert released.state is TaskState.PENDING


# --- What was written into a dying connection -----------------------------------------------------------


async def take_all(connection: Connection, *ids: str) -> None:
    """Take tasks, and confirm that the last one was handed over too."""
    for id in ids:
        assert await next_task(connection) == (id, 1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(connection.__anext__)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()


async def test_task_that_a_vanished_worker_did_not_mention_is_released() -> None:
    """It may never have arrived. Any request for which it has to be held shows that it has, and those stay."""
    ids = ("heartbeat", "fence", "silence")
    async with an_engine() as engine:
        async with engine.connect("g", "a", ttl=TTL) as connection:
            for id in ids:
                await ask(engine, create(id, target=TARGET))
            await take_all(connection, *ids)
            await ask(engine, TaskHeartbeat("a", [TaskRef("heartbeat", 1)]))
            await ask(engine, TaskFence("fence", 1, Envelope(Head("c"), create("fence:1"))))
            await ask(engine, PromiseRegisterCallback("fence:1", "silence"))
        await settled_down(engine, "silence", TaskState.PENDING)
        assert {await task_state_of(engine, id) for id in ids[:2]} == {TaskState.ACQUIRED}
        async with engine.connect("g", "b", ttl=TTL) as connection:
            assert await next_task(connection) == ("silence", 2)
        assert (await ask(engine, TaskRelease("silence", 1))).status == 409


async def test_task_that_was_mentioned_before_its_message_was_confirmed_stays() -> None:
    """The worker was faster than who writes to it."""
    async with an_engine() as engine:
        async with engine.connect("g", "a", ttl=TTL) as connection:
            await ask(engine, create("t", target=TARGET))
            await next_task(connection)
            await ask(engine, TaskHeartbeat("a", [TaskRef("t", 1)]))
        await ask(engine, create("u"))
        assert await task_state_of(engine, "t") is TaskState.ACQUIRED


async def test_worker_that_connects_again_is_sent_what_it_did_not_mention() -> None:
    """The first connection may be dead without anybody having noticed."""
    async with an_engine() as engine, engine.connect("g", "a", ttl=TTL) as connection:
        await ask(engine, create("t", target=TARGET))
        await take_all(connection, "t")
        async with engine.connect("g", "a", ttl=TTL) as connection:
            assert await next_task(connection) == ("t", 2)


async def test_task_that_was_given_back_and_taken_anew_is_not_released_with_the_first_stream() -> None:
    """What became of it since is no affair of that stream."""
    async with an_engine() as engine:
        async with engine.connect("g", "a", ttl=TTL) as connection:
            await ask(engine, create("t", target=TARGET))
            await take_all(connection, "t")
            requests = (TaskHalt("t"), TaskContinue("t"), TaskAcquire("t", 1, "b", TTL))
            await ask(engine, Batch([Envelope(Head("c"), request) for request in requests]))
        await ask(engine, create("u"))
        assert await task(engine, "t") == Task("t", TaskState.ACQUIRED, 2, ttl=TTL, pid="b")


async def test_task_that_was_handed_over_stays_when_the_server_goes_down() -> None:
    """A restart takes nothing from who works."""
    store = MemoryStore()
    async with an_engine(store) as engine, engine.connect("g", "a", ttl=TTL) as connection:
        await ask(engine, create("t", target=TARGET))
        await take_all(connection, "t")
        engine.close_connections()
    held = store.transact(lambda draft: draft.task("t"))
    assert held is not None
    assert held.state is TaskState.ACQUIRED


# --- What the worker has already ----------------------------------------------------------------------


async def test_worker_that_suspended_a_task_gets_only_what_woke_it() -> None:
    """The rest it has; and that is said."""
    async with an_engine() as engine, engine.connect("g", "a", ttl=TTL) as connection:
        await a_suspended_task(engine, connection)
        await settle(engine, "t:2")
        assert await execute(connection) == (2, ["t:2"], True)


async def test_task_that_its_worker_gives_back_comes_with_everything() -> None:
    """It no longer had the execution, for which it needs all."""
    async with an_engine() as engine, engine.connect("g", "a", ttl=TTL) as connection:
        await a_suspended_task(engine, connection)
        await settle(engine, "t:2")
        assert await execute(connection) == (2, ["t:2"], True)
        await ask(engine, TaskRelease("t", 2))
        assert await execute(connection) == (3, ["t:1", "t:2", "t:3"], False)


async def test_other_worker_gets_everything() -> None:
    """It was not there when the task was suspended."""
    async with an_engine() as engine:
        async with engine.connect("g", "a", ttl=TTL) as connection:
            await a_suspended_task(engine, connection)
        async with engine.connect("g", "b", ttl=TTL) as connection:
            await settle(engine, "t:2")
            assert await execute(connection) == (2, ["t:1", "t:2", "t:3"], False)


async def test_task_that_waited_for_room_on_its_worker_comes_with_what_woke_it() -> None:
    """However long it waited, the worker still has the rest."""
    clock = SettableClock()
    async with an_engine(clock=clock) as engine, engine.connect("g", "a", capacity=1, ttl=TTL) as connection:
        await a_suspended_task(engine, connection)
        await ask(engine, create("u", target=TARGET))
        assert await next_task(connection) == ("u", 1)
        await settle(engine, "t:2")
        clock.ms += 5_000  # when it is dispatched again
        await settle(engine, "t:3")
        await settle(engine, "u")
        assert await execute(connection) == (2, ["t:2", "t:3"], True)


async def test_task_that_is_suspended_and_woken_in_one_turn_goes_back_too() -> None:
    """Nobody sees it suspended in between."""
    async with an_engine() as engine, engine.connect("g", "a", ttl=TTL) as connection, engine.connect("g", "b"):
        await ask(engine, create("t", target="poll://any@g/a"))
        await ask(engine, create("t:1"))
        await next_task(connection)
        head = Head("c")
        waiting = TaskSuspend("t", 1, [Envelope(head, PromiseRegisterCallback("t:1", "t"))])
        settling = PromiseSettle("t:1", PromiseState.RESOLVED)
        await ask(engine, Batch([Envelope(head, waiting), Envelope(head, settling)]))
        assert await execute(connection) == (2, ["t:1"], True)
