"""Running functions are stopped: by who cancels them, by the loss of their server, by signals.

The leases are long, so what is stopped within the limit of a test was not stopped by a heartbeat.
"""

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from resonate_trio import Client, InvocationCancelled
from resonate_trio.protocol import PromiseState

from .kit import Kit, Program, Server, open_kit

pytestmark = [pytest.mark.trio, pytest.mark.slow]

LONG = 600.0
SOON = 20.0
"""Seconds: much longer than what is waited for takes, and much shorter than what it must not wait for."""


async def start(kit: Kit, server: Server, group: str, **options: float) -> Program:
    """Start a worker; return when it takes tasks."""
    return await kit.serving("leaves", group, server.url, **options)


@contextmanager
def stopped(program: Program) -> Generator[None]:
    """Keep a process from doing anything."""
    os.kill(program.child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(program.child.pid, signal.SIGCONT)


# --- By who cancels them ------------------------------------------------------------------------------


async def test_running_leaf_is_stopped_by_the_message_that_it_is_cancelled(tmp_path: Path) -> None:
    """Whoever has cancelled it hears when it has stopped."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        worker = await start(kit, server, "leaves", lease=LONG)
        async with Client(server.url) as client:
            handle = await client.options(group="leaves").rfi("a", "wait")
            await worker.says("waits")
            with trio.fail_after(SOON):
                assert await handle.cancel(reason="enough", budget=LONG)
                await worker.says("stopped")
            with pytest.raises(InvocationCancelled, match="enough"):
                await handle


async def test_cancellation_goes_down_to_other_processes(tmp_path: Path) -> None:
    """Over three groups; each unwinds before the one that has called it."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        workers = [await start(kit, server, group, lease=LONG) for group in ("top", "middle", "bottom")]
        async with Client(server.url) as client:
            handle = await client.options(group="top").rfi("a", "relay", ["middle", "bottom"])
            await workers[2].says("waits")
            with trio.fail_after(SOON):
                assert await handle.cancel(budget=LONG)
            await workers[2].says("stopped")
            for worker in workers[:2]:
                await worker.says("unwound")
            states = [(await client.promises.get(id)).state for id in ("a", "a:1", "a:1.1")]
            assert states == [PromiseState.CANCELED] * 3


async def test_function_that_blocks_the_event_loop_stops_at_its_next_checkpoint(tmp_path: Path) -> None:
    """The message waits for it."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        worker = await start(kit, server, "leaves", lease=LONG)
        async with Client(server.url) as client:
            gate = tmp_path / "gate"
            handle = await client.options(group="leaves").rfi("a", "block", str(gate))
            await worker.says("blocks")
            with trio.fail_after(SOON):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(partial(handle.cancel, budget=LONG))
                    gate.touch()
            await worker.says("stopped")
            assert worker.said == ["blocks", "unblocked", "stopped"]


async def test_thread_is_left_behind_and_its_result_is_fenced_off(tmp_path: Path) -> None:
    """Nobody waits for it, and what it returns is not stored."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        worker = await start(kit, server, "leaves", lease=LONG)
        async with Client(server.url) as client:
            gate = tmp_path / "gate"
            handle = await client.options(group="leaves").rfi("a", "occupy", str(gate))
            await worker.says("occupies")
            assert await handle.cancel(budget=LONG)
            gate.touch()
            await worker.says("returns")
            assert (await client.promises.get("a")).state is PromiseState.CANCELED


async def test_budget_ends_what_blocks_its_process_for_longer(tmp_path: Path) -> None:
    """The server settles it, and its worker hears of that when it comes to."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        worker = await start(kit, server, "leaves", lease=LONG)
        async with Client(server.url) as client:
            gate = tmp_path / "gate"
            handle = await client.options(group="leaves").rfi("a", "block", str(gate))
            await worker.says("blocks")
            assert await handle.cancel(budget=0.5)
            gate.touch()
            await worker.says("stopped")
            assert (await client.promises.get("a")).state is PromiseState.CANCELED


# --- By the loss of their server ----------------------------------------------------------------------


async def test_worker_without_its_server_stops_what_it_runs(tmp_path: Path) -> None:
    """By its own clock, before the lease ends: nobody can tell it that the task is another's by then."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        worker = await start(kit, server, "leaves", lease=2.0)
        async with Client(server.url) as client:
            await client.options(group="leaves").rfi("a", "wait")
            await worker.says("waits")
            with stopped(server.program):
                await worker.says("stopped")
            await worker.until(lambda: worker.said.count("waits") == 2)  # the server gives it out again


# --- By signals ---------------------------------------------------------------------------------------


async def test_signal_lets_what_runs_end_within_the_grace(tmp_path: Path) -> None:
    """And its result is stored."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        worker = await start(kit, server, "leaves", lease=LONG, grace=SOON)
        async with Client(server.url) as client:
            gate = tmp_path / "gate"
            handle = await client.options(group="leaves").rfi("a", "occupy", str(gate))
            await worker.says("occupies")
            os.kill(worker.child.pid, signal.SIGTERM)
            await worker.complains("SIGTERM: closing")
            gate.touch()
            assert await worker.child.wait() == 0
            assert await handle == "the result"


async def test_second_signal_ends_a_worker_at_once(tmp_path: Path) -> None:
    """However long its grace is."""
    async with open_kit(tmp_path) as kit:
        server = await kit.server()
        worker = await start(kit, server, "leaves", lease=LONG, grace=LONG)
        async with Client(server.url) as client:
            await client.options(group="leaves").rfi("a", "wait")
            await worker.says("waits")
            os.kill(worker.child.pid, signal.SIGTERM)
            await worker.complains("SIGTERM: closing")
            assert await worker.child.signal(signal.SIGTERM) == -signal.SIGTERM
            assert worker.said == ["waits"]
