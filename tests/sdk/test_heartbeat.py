"""Heartbeats: when they are due, and that a function that blocks the event loop keeps its task."""

import json
import math
import threading
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
import trio

from resonate_trio import Context, Never, Resonate, WorkerOptions
from resonate_trio._execution import HeldTask, Lease
from resonate_trio._transport import HttpTransport, Link
from resonate_trio._worker._heartbeat import Hear, Heartbeat
from resonate_trio._worker._pulse import Pulse
from resonate_trio.protocol import Beaten, CancelledTask, Task, TaskState
from server_ref.machine import Extensions

from .http_kit import answering, serving
from .kit import Recorder

LEASE = 9.0


def held(id: str, version: int = 1) -> HeldTask:
    """Return a task that is held."""
    return HeldTask(Link(HttpTransport("http://nowhere")), Task(id, TaskState.ACQUIRED, version), Lease())


def living(now: float = 0) -> Pulse:
    """Return the pulse of a worker whose event loop runs."""
    pulse = Pulse(LEASE)
    pulse.show_life(now)
    return pulse


def test_nothing_is_due_while_nothing_is_held() -> None:
    """An idle worker sends no heartbeats."""
    pulse = living()
    assert pulse.delay(0) == math.inf
    task = held("a")
    pulse.add(task, 0)
    pulse.remove(task)
    assert pulse.delay(1) == math.inf


def test_first_beat_is_due_a_third_of_a_lease_after_the_first_task() -> None:
    """Its lease has just begun."""
    pulse = living(100)
    pulse.add(held("a"), 100)
    assert pulse.delay(100) == 3
    assert pulse.delay(102) == 1
    assert pulse.delay(103) == pulse.delay(104) == 0


def test_one_beat_is_for_all_tasks() -> None:
    """A task that came in between waits for no beat of its own, and less than a third of its lease."""
    pulse = living()
    tasks = [held("a"), held("b")]
    pulse.add(tasks[0], 0)
    pulse.add(tasks[1], 2)
    assert pulse.delay(3) == 0
    assert pulse.beat(3) == tasks
    assert pulse.delay(3) == 3


def test_task_that_the_server_acquired_is_told_of_soon() -> None:
    """After a third of the time between two beats, in one beat with all others that there are by then."""
    pulse = living()
    known, first, second = held("a"), held("b"), held("c")
    pulse.add(known, 0)
    pulse.add(first, 1, is_unheard_of=True)
    pulse.add(second, 1.5, is_unheard_of=True)
    assert pulse.delay(1) == 1
    assert pulse.beat(2) == [known, first, second]
    assert pulse.delay(2) == 3


def test_no_more_than_one_beat_a_second_is_for_the_sake_of_new_tasks() -> None:
    """However many come, and however long the lease is."""
    pulse = Pulse(60)
    pulse.show_life(0)
    pulse.add(held("a"), 0, is_unheard_of=True)
    assert pulse.delay(0) == 1
    pulse.beat(1)
    pulse.add(held("b"), 1.1, is_unheard_of=True)
    assert pulse.delay(1.1) == pytest.approx(1)


def test_task_that_is_over_soon_is_not_told_of() -> None:
    """The server has heard of it otherwise."""
    pulse = living()
    short, long = held("a"), held("b")
    pulse.add(short, 0, is_unheard_of=True)
    pulse.add(long, 0.75, is_unheard_of=True)
    pulse.remove(short)
    assert pulse.delay(0.75) == 1


def test_beat_that_failed_is_repeated_soon() -> None:
    """Several times before a lease ends."""
    pulse = living()
    pulse.add(held("a"), 0)
    pulse.beat(3)
    pulse.failed(3.5)
    assert pulse.delay(3.5) == pytest.approx(0.3)


def test_task_that_is_acquired_again_is_held_at_its_new_version() -> None:
    """Letting go of the old one, late, does not end the new lease."""
    pulse = living()
    old, new = held("a", 1), held("a", 2)
    pulse.add(old, 0)
    pulse.add(new, 1)
    pulse.remove(old)
    assert pulse.beat(3) == [new]


def test_event_loop_that_is_stuck_for_a_lease_is_not_beaten_for() -> None:
    """Its tasks are better run elsewhere; when it shows life again, beats go on."""
    pulse = living()
    pulse.add(held("a"), 0)
    assert pulse.delay(LEASE) == 0
    assert pulse.delay(LEASE + 0.1) == math.inf
    pulse.show_life(LEASE + 1)
    assert pulse.delay(LEASE + 1) == 0


def test_lease_is_extended_but_never_shortened() -> None:
    """A reply that comes late does not undo a newer one."""
    lease = Lease(10)
    lease.extend(20)
    lease.extend(15)
    assert lease.until == 20


# --- For real -----------------------------------------------------------------------------------------


def reply_to(body: bytes, data: object) -> bytes:
    """Return the reply of this protocol that accepts a request."""
    envelope = json.loads(body)
    head = {"corrId": envelope["head"]["corrId"], "status": 200, "version": "2026-04-01"}
    return json.dumps({"kind": envelope["kind"], "head": head, "data": data}).encode()


async def beat(
    tasks: Sequence[HeldTask], enough: int, hear: Hear, *, status: int = 200, data: object
) -> list[bytes]:
    """Send heartbeats for tasks to a server that answers like this, and return what it got."""
    bodies: list[bytes] = []
    done = threading.Event()

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        bodies.append(body)
        if len(bodies) == enough:
            done.set()
        return status, reply_to(body, data)

    with answering(answer) as url:
        heartbeat = Heartbeat(url, token="secret", pid="me", lease=0.1, hear=hear)
        for task in tasks:
            heartbeat.add(task)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(heartbeat.run)
            assert await trio.to_thread.run_sync(done.wait, 10)
            nursery.cancel_scope.cancel()
    return bodies


def unheard(tasks: Sequence[HeldTask], beaten: Beaten) -> None:
    """Take no news."""
    raise AssertionError(f"{tasks}: {beaten}")


@pytest.mark.trio
async def test_beat_names_the_process_its_tasks_and_the_token() -> None:
    """As the protocol says. A server that says nothing has no news."""
    bodies = await beat([held("a")], 2, unheard, data={})
    envelope = json.loads(bodies[0])
    assert envelope["kind"] == "task.heartbeat"
    assert envelope["head"]["auth"] == "secret"
    assert envelope["data"] == {"pid": "me", "tasks": [{"id": "a", "version": 1}]}


@pytest.mark.trio
async def test_news_of_tasks_are_passed_on_in_the_event_loop() -> None:
    """Which are lost, and which are to be cancelled. The lease of one that is lost is not extended."""
    tasks = [held(id) for id in "abc"]
    for task in tasks:
        task.lease.until = 0
    heard: list[tuple[Sequence[HeldTask], Beaten]] = []

    def hear(tasks: Sequence[HeldTask], beaten: Beaten) -> None:
        trio.lowlevel.current_task()  # or RuntimeError
        heard.append((tasks, beaten))

    await beat(tasks, 2, hear, data={"lost": ["b"], "cancelled": [{"id": "c", "at": 5}]})
    assert heard[0] == (tasks, Beaten(lost=["b"], cancelled=[CancelledTask("c", 5)]))
    assert [task.lease.until > 0 for task in tasks] == [True, False, True]


@pytest.mark.trio
async def test_beats_that_fail_go_on_and_are_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The server may come back before the lease is over."""
    await beat([held("a")], 5, unheard, status=503, data={})
    assert len(caplog.records) == 1
    assert "no heartbeat to http://127.0.0.1" in caplog.text


def test_event_loop_that_shows_life_again_wakes_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that fell silent because the loop was stuck must not sleep on."""
    heartbeat = Heartbeat("http://nowhere", token=None, pid="me", lease=1000, hear=unheard)
    heartbeat._pulse.add(held("a"), -1000)  # long due
    asked = threading.Event()
    decide = heartbeat._pulse.delay

    def delay(now: float) -> float:
        asked.set()
        return decide(now)

    monkeypatch.setattr(heartbeat._pulse, "delay", delay)
    beats: list[object] = []
    thread = threading.Thread(target=lambda: beats.append(heartbeat._wait_for_beat()))
    thread.start()
    assert asked.wait(10)
    heartbeat._show_life()  # gets the lock when the thread has gone to sleep
    thread.join(timeout=10)
    assert len(beats) == 1


def test_task_that_can_wait_does_not_wake_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """With thousands of short tasks a second it would do nothing but look at them."""
    heartbeat = Heartbeat("http://nowhere", token=None, pid="me", lease=1000, hear=unheard)
    wakes: list[str] = []
    monkeypatch.setattr(heartbeat._changed, "notify", lambda: wakes.append("woken"))
    heartbeat._show_life()
    wakes.clear()
    monkeypatch.setattr(heartbeat._changed, "wait", lambda _: setattr(heartbeat, "_is_stopped", True))
    for id in "abc":
        heartbeat.add(held(id))
        assert heartbeat._wait_for_beat() is None
        heartbeat._is_stopped = False
    assert wakes == ["woken"]
    heartbeat.add(held("d"), is_unheard_of=True)
    assert wakes == ["woken"] * 2


@asynccontextmanager
async def working(url: str, recorder: Recorder, lease: float) -> AsyncGenerator[Resonate]:
    """Run a worker with a function that blocks the event loop, again and again."""
    resonate = Resonate(url, worker=WorkerOptions(lease=lease, instrument=recorder))

    @resonate.register(retry=Never())
    async def block(ctx: Context, seconds: float, times: int) -> str:
        for _ in range(times):
            threading.Event().wait(seconds)
            await trio.lowlevel.checkpoint()
        return await ctx.lfc(done)

    async def done() -> str:
        return "done"

    async with resonate:
        yield resonate


@pytest.mark.slow
@pytest.mark.trio
async def test_function_that_blocks_the_event_loop_keeps_its_task(
    recorder: Recorder, server_extensions: Extensions
) -> None:
    """It blocks for less than a lease at a time, and for more than two leases in all."""
    with serving(server_extensions) as url:
        async with working(url, recorder, lease=1) as resonate:
            assert await resonate.rfc("a", "block", 0.8, 3) == "done"
    assert recorder.of("a") == ["started", "finished"]


@pytest.mark.slow
@pytest.mark.trio
async def test_function_that_waits_longer_than_a_lease_keeps_its_task(
    recorder: Recorder, server_extensions: Extensions
) -> None:
    """Heartbeats extend the lease here and at the server."""
    with serving(server_extensions) as url:
        async with working(url, recorder, lease=0.3) as resonate:
            assert await resonate.rfc("a", "block", 0.01, 80) == "done"
    assert recorder.of("a") == ["started", "finished"]
