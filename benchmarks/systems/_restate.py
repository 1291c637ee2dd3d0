"""Restate: its server and two workers, each a process of its own, and a client process."""

import os
import socket
from collections.abc import AsyncGenerator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import trio

from ._peer import PeerSystem, open_driver
from ._processes import start_silent

PROGRAMS = "benchmarks.peers.programs"


@asynccontextmanager
async def open_restate(python: Path, server: Path, folder: Path) -> AsyncGenerator[PeerSystem]:
    """Start a server with its workers; stop them at the end.

    Args:
        python: the interpreter of the peers' environment.
        server: the server's program.
        folder: for what the server stores.

    Raises:
        StartError: they do not get ready.
        subprocess.CalledProcessError: one of them failed.
    """
    internal, ingress, admin, caller, callee = _free_ports(5)
    environment = os.environ | {
        "RESTATE_BIND_PORT": str(internal),
        "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ingress}",
        "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{admin}",
    }
    place = ["--base-dir", str(folder), "--listen-mode", "tcp", "--bind-ip", "127.0.0.1"]
    urls = [f"http://127.0.0.1:{port}" for port in (ingress, admin, caller, callee)]
    async with trio.open_nursery() as processes:
        await start_silent(processes, [str(server), "--no-logo", *place], environment=environment)
        for role, port in (("caller", caller), ("callee", callee)):
            await start_silent(processes, [str(python), "-m", f"{PROGRAMS}.restate_worker", role, str(port)])
        try:
            yield await open_driver(processes, [str(python), "-m", f"{PROGRAMS}.restate_client", *urls])
        finally:
            processes.cancel_scope.cancel()


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody listens on now: Restate does not say which it got when it is left the choice."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
