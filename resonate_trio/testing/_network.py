"""Between processes and the server: lines that lose, delay, repeat and reorder what they carry, and can be cut."""

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, Literal, Self, TypeAlias, final

import trio
from anyio.abc import TaskGroup
from attrs import define, field

from resonate_trio._clock import Clock
from resonate_trio._services import open_services
from resonate_trio._sources import Connected, Event, Killed, Terms
from resonate_trio._transport import Unreachable
from resonate_trio.protocol import (
    Envelope,
    Message,
    Reply,
    Request,
    TaskGet,
    TaskRelease,
    TaskReply,
    TaskState,
)

from ._faults import Chaos
from ._server import RECONNECT_S, Server
from ._trace import Trace, described, is_acquired, parts, replied, told

HANG_S: Final = 60.0
"""How long a request of a process that is gone stays without an answer."""
Side: TypeAlias = Literal["before", "after"]


def _never(who: str, request: Request, side: Side) -> bool:
    return False


@final
@define(eq=False)
class Network:
    """What all lines of a world share.

    Attributes:
        crashes_at: asked at each boundary whether the worker that sends the request crashes there: before it is
            sent, and after it took effect.
    """

    server: Server
    trace: Trace
    chaos: Chaos
    nursery: TaskGroup
    crashes_at: Callable[[str, Request, Side], bool] = _never
    _workers: list["Line"] = field(factory=list, init=False)

    def worker_line(self, name: str, on_crash: Callable[[], None]) -> "Line":
        """Return the line of a process that can crash."""
        line = Line(self, name, on_crash)
        self._workers.append(line)
        return line

    def kill_all(self) -> None:
        """Have all processes that can crash be gone."""
        for line in self._workers:
            line.die()

    async def expire_lease(self, id: str) -> bool:
        """End the lease of a task on the server, whoever holds it; tell whether anybody did."""
        reply = await self.server.ask(TaskGet(id))
        if not isinstance(reply.data, TaskReply) or reply.data.task.state is not TaskState.ACQUIRED:
            return False
        self.trace.add("server", f"the lease of {id} ends")
        await self.server.ask(TaskRelease(id, reply.data.task.version))
        return True

    async def repeat(self, who: str, envelope: Envelope[Request]) -> None:
        """Have a request arrive once more, after a while. Nobody waits for its reply."""
        await trio.sleep(self.chaos.delay())
        try:
            reply = await self.server.perform(envelope)
        except Unreachable:
            return
        self.trace.add(who, f"again: {described(envelope.data)} -> {replied(reply)}")


@final
@define(eq=False)
class Line:
    """The connection of one process, a transport.

    Attributes:
        name: the process.
        on_crash: called when a fault wants the process to crash; None if it cannot.
        is_dead: the process has crashed: nothing passes any more.
    """

    network: Network
    name: str
    on_crash: Callable[[], None] | None = None
    is_dead: bool = field(default=False, init=False)
    clock: Clock = field(init=False)
    shares_fate: bool = field(default=False, init=False)
    _cuts: int = field(default=0, init=False)
    _streams: set[trio.CancelScope] = field(factory=set, init=False)
    _mended: trio.Event = field(factory=trio.Event, init=False)

    @property
    def extensions(self) -> frozenset[str]:
        """The extensions of the protocol that the server offers."""
        return self.network.server.extensions

    @clock.default
    def _server_clock(self) -> Clock:
        return self.network.server.clock

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

    # --- Cuts -------------------------------------------------------------------------------------

    @property
    def is_cut(self) -> bool:
        """Whether nothing passes at present."""
        return self.is_dead or self._cuts > 0

    def cut(self) -> None:
        """Let nothing pass until `mend`."""
        self._cuts += 1
        self.network.trace.add(self.name, "is cut off")
        self._break_streams()

    def mend(self) -> None:
        """Let things pass again, if nobody else has cut the line."""
        self._cuts = max(0, self._cuts - 1)
        if not self._cuts:
            self.network.trace.add(self.name, "is connected")
            self._mended.set()

    def cut_for(self, seconds: float) -> None:
        """Let nothing pass for a while."""
        self.cut()
        self.network.nursery.start_soon(self._mend_after, seconds)

    async def _mend_after(self, seconds: float) -> None:
        await trio.sleep(seconds)
        self.mend()

    def die(self) -> None:
        """Let nothing pass any more; whoever waits for messages is killed."""
        self.is_dead = True
        self._break_streams()
        self._mended.set()

    def _break_streams(self) -> None:
        for scope in self._streams:
            scope.cancel()

    # --- Requests ---------------------------------------------------------------------------------

    async def send(self, request: Envelope[Request]) -> Reply:
        """Carry a request to the server and its reply back, or not.

        Raises:
            Unreachable: it got lost, or its reply did.
        """
        await self._check("")
        network, data = self.network, request.data
        happens = network.chaos.about_request(self.name, data, is_worker=self.on_crash is not None)
        network.trace.add(self.name, f"-> {described(data)}")
        await self._crash_if("crash_before" in happens or self._crashes_at(data, "before"), "before it sends this")
        if "cut" in happens:
            self.cut_for(network.chaos.outage())
        await self._lose_if("lose_request" in happens or self.is_cut, "the request is lost")
        await self._delay_if("delay_request" in happens, "the request is lost")
        reply = await network.server.perform(request)
        await self._react(happens, request)
        await self._crash_if(
            "crash_after" in happens or self._crashes_at(data, "after"), "before it hears of this"
        )
        await self._lose_if("lose_reply" in happens or "restart_server" in happens, "the reply is lost")
        await self._delay_if("delay_reply" in happens, "the reply is lost")
        network.trace.add(self.name, f"<- {replied(reply)}")
        return reply

    async def _react(self, happens: set[str], request: Envelope[Request]) -> None:
        network = self.network
        if "duplicate_request" in happens:
            network.trace.add(self.name, "the request is to arrive again")
            network.nursery.start_soon(network.repeat, self.name, request)
        if "expire_lease" in happens:
            tasks = {
                part.id for part in parts(request.data) if part.kind.startswith("task.") and hasattr(part, "id")
            }
            for id in sorted(tasks):
                await network.expire_lease(id)
        if "restart_server" in happens:
            network.trace.add("server", "goes down")
            network.server.go_down(network.chaos.outage())

    def _crashes_at(self, request: Request, side: Side) -> bool:
        return self.on_crash is not None and self.network.crashes_at(self.name, request, side)

    async def _crash_if(self, crashes: bool, when: str) -> None:
        if crashes and self.on_crash is not None and not self.is_dead:
            self.network.trace.add(self.name, f"crashes, {when}")
            self.on_crash()
            await self._check("")

    async def _lose_if(self, is_lost: bool, what: str) -> None:
        if is_lost:
            await self._refuse(what)

    async def _delay_if(self, is_delayed: bool, what: str) -> None:
        if is_delayed:
            await trio.sleep(self.network.chaos.delay())
        await self._check(what)

    async def _check(self, what: str) -> None:
        if self.is_cut:
            await self._refuse(what)

    async def _refuse(self, what: str) -> None:
        if self.is_dead:
            # Whoever asks is being cancelled. Only what shields itself from that gets further, and not for ever.
            await trio.sleep(HANG_S)
        elif what:
            self.network.trace.add(self.name, what)
        await trio.lowlevel.checkpoint()
        raise Unreachable(what or "cut off")

    # --- Messages ---------------------------------------------------------------------------------

    def source(self, group: str, pid: str, terms: Terms | None = None) -> "LineSource":
        """Return the source of messages for this process."""
        return LineSource(self, group, pid, terms)

    async def wait_usable(self) -> None:
        """Wait until messages can pass. Raises Killed when the process is dead."""
        while self.is_cut and not self.is_dead:
            self._mended = trio.Event()
            await self._mended.wait()
        if self.is_dead:
            raise Killed
        await self.network.server.wait_up()

    @asynccontextmanager
    async def stream(self) -> AsyncGenerator[trio.CancelScope]:
        """Open a scope that is cancelled when the line is cut."""
        with trio.CancelScope() as scope:
            self._streams.add(scope)
            try:
                yield scope
            finally:
                self._streams.discard(scope)


@final
class LineSource:
    """Yields what the server sends over a line."""

    def __init__(self, line: Line, group: str, pid: str, terms: Terms | None) -> None:
        self._line = line
        self._group = group
        self._pid = pid
        self._terms = terms

    def __repr__(self) -> str:
        return f"<LineSource {self._group}/{self._pid}>"

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[AsyncIterator[Event]]:
        """Return the events, for as long as the context lasts."""
        send, receive = trio.open_memory_channel[Event](math.inf)
        async with open_services() as services, send, receive:
            services.start_soon(self._pump, send)
            yield receive

    async def _pump(self, send: trio.MemorySendChannel[Event]) -> None:
        async with open_services() as late:
            while True:
                await self._line.wait_usable()
                server = self._line.network.server
                connection = server.connect(self._group, self._pid, self._terms)
                async with self._line.stream() as scope, connection as messages:
                    send.send_nowait(Connected())
                    async for message in messages:
                        self._carry(message, send, scope, late)
                if not self._line.is_dead:
                    await trio.sleep(RECONNECT_S)

    def _carry(
        self, message: Message, send: trio.MemorySendChannel[Event], scope: trio.CancelScope, late: TaskGroup
    ) -> None:
        network, name = self._line.network, self._line.name
        happens = network.chaos.about_message(name, message)
        if scope.deadline < math.inf or "lose_message" in happens:
            network.trace.add(name, f"lost: {told(message)}")
            # The server takes it for delivered; only then the connection breaks. If a task came acquired, its
            # lease has begun, and whose it is never hears of that.
            scope.deadline = min(scope.deadline, trio.current_time() + RECONNECT_S)
            return
        copies = [message] * (2 if "duplicate_message" in happens else 1)
        # No server brings an acquired task a second time later on: that would be an order to run it again.
        together = [copies] if is_acquired(message) else [[copy] for copy in copies]
        for messages in together:
            if "delay_message" in happens:
                late.start_soon(self._deliver_late, messages, send)
            else:
                self._deliver(messages, send)

    def _deliver(self, messages: Sequence[Message], send: trio.MemorySendChannel[Event]) -> None:
        for message in messages:
            self._line.network.trace.add(self._line.name, f"<< {told(message)}")
            send.send_nowait(message)

    async def _deliver_late(self, messages: Sequence[Message], send: trio.MemorySendChannel[Event]) -> None:
        await trio.sleep(self._line.network.chaos.delay())
        self._deliver(messages, send)
