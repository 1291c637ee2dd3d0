"""A peer, driven by a program of its own environment that makes the calls and times them."""

from collections.abc import Sequence
from typing import final

import attrs
import orjson
import trio

from ._base import Calls, Times, WrongResultError
from ._processes import start_process


@final
class PeerSystem:
    """A peer. Made by `open_driver`."""

    def __init__(self, orders: trio.abc.SendStream, answers: trio.abc.ReceiveStream, name: str) -> None:
        self._orders = orders
        self._answers = answers
        self._name = name

    def __repr__(self) -> str:
        return f"<PeerSystem: {self._name}>"

    async def time_calls(self, calls: Calls) -> Times:
        """Have calls made and timed. It is not usable any more if this is cancelled.

        Raises:
            WrongResultError: one failed, or did not return what was expected.
        """
        await self._orders.send_all(orjson.dumps(attrs.asdict(calls)) + b"\n")
        answer = orjson.loads(await self._receive_line())
        if "error" in answer:
            raise WrongResultError(f"{self._name}: {answer['error']}")
        return Times(answer["times_ns"], answer["elapsed_ns"])

    async def _receive_line(self) -> bytes:
        """Return the answer to an order: nothing follows it until there is another one."""
        line = b""
        while not line.endswith(b"\n"):
            chunk = await self._answers.receive_some()
            if not chunk:
                raise WrongResultError(f"{self._name} ended before it had answered")
            line += chunk
        return line


async def open_driver(processes: trio.Nursery, command: Sequence[str]) -> PeerSystem:
    """Start a program that takes orders.

    Args:
        processes: owns it.
        command: the program and its arguments.

    Raises:
        StartError: it does not get ready.
    """
    process, _ = await start_process(processes, command, says="stdout")
    assert process.stdin is not None
    assert process.stdout is not None
    return PeerSystem(process.stdin, process.stdout, command[2])
