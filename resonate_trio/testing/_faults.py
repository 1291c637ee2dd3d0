"""Which faults happen: those that were planned, and random ones from a seed. Decisions only, without I/O."""

from random import Random
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final, get_args

from attrs import Factory, define, field, frozen

from resonate_trio import UsageError
from resonate_trio.protocol import Message, Request, TaskHeartbeat

from ._trace import parts

if TYPE_CHECKING:
    from attrs import Attribute

RequestFault: TypeAlias = Literal[
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
MessageFault: TypeAlias = Literal["lose_message", "duplicate_message", "delay_message"]
Fault: TypeAlias = RequestFault | MessageFault

MESSAGE_FAULTS: Final = get_args(MessageFault)
FAULTS: Final = (*get_args(RequestFault), *MESSAGE_FAULTS)
NEEDS_WORKER: Final = frozenset({"crash_before", "crash_after"})
NEEDS_TASK: Final = frozenset({"expire_lease"})


def _is_probability(_: object, attribute: "Attribute[float]", value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"{attribute.name}={value!r}: a probability is a number from 0 to 1")


def _is_seconds(_: object, attribute: "Attribute[float]", value: float) -> None:
    if not value >= 0:
        raise UsageError(f"{attribute.name}={value!r}: it is a number of seconds, 0 or greater")


def _chance() -> float:
    chance: float = field(default=0.0, validator=_is_probability)
    return chance


@final
@frozen(kw_only=True)
class Faults:
    """How likely it is that something goes wrong, for each request or message: numbers from 0 to 1.

    Attributes:
        crash_before: the worker crashes when it would send the request.
        crash_after: the worker crashes when the request took effect, before it hears of it.
        lose_request: the request gets lost on its way.
        lose_reply: the request takes effect, and its reply gets lost.
        duplicate_request: the request arrives a second time, later.
        delay_request: it takes a while to arrive. Others overtake it.
        delay_reply: its reply takes a while.
        cut: all connections of the process are cut, the request is lost, and they come back after a while.
        expire_lease: the lease of the task that the request is about ends on the server.
        restart_server: the server goes down after the request took effect, and comes back after a while.
        lose_message: a message from the server gets lost, and the connection with it. A task that came acquired is
            then nobody's until the server takes it back, at the end of its lease if not before.
        duplicate_message: a message arrives twice.
        delay_message: a message takes a while. Others overtake it.
        max_delay: how long a delay is at most, in seconds.
        max_outage: how long a crashed worker, a cut connection or the server is away at most, in seconds.
    """

    crash_before: float = _chance()
    crash_after: float = _chance()
    lose_request: float = _chance()
    lose_reply: float = _chance()
    duplicate_request: float = _chance()
    delay_request: float = _chance()
    delay_reply: float = _chance()
    cut: float = _chance()
    expire_lease: float = _chance()
    restart_server: float = _chance()
    lose_message: float = _chance()
    duplicate_message: float = _chance()
    delay_message: float = _chance()
    max_delay: float = field(default=1.0, validator=_is_seconds)
    max_outage: float = field(default=5.0, validator=_is_seconds)


@define(eq=False)
class _Plan:
    fault: str
    kind: str | None
    id: str | None
    process: str | None
    after: int
    times: int

    def takes(self, process: str, named: set[tuple[str, str | None]]) -> bool:
        """Tell whether this is the moment, and count it."""
        is_there = self.process is None or process == self.process or process.startswith(f"{self.process}.")
        fits = any(self.kind in {None, kind} and self.id in {None, id} for kind, id in named)
        if not is_there or not fits or not self.times:
            return False
        if self.after:
            self.after -= 1
            return False
        self.times -= 1
        return True


@final
@define(eq=False)
class Chaos:
    """Decides about each request and message, in the order in which they are sent."""

    random: Random
    faults: Faults = Factory(Faults)
    _plans: list[_Plan] = Factory(list)

    def plan(
        self, fault: Fault, *, kind: str | None, id: str | None, process: str | None, after: int, times: int
    ) -> None:
        """Have a fault happen to requests or messages to come."""
        if fault not in FAULTS:
            raise UsageError(f"{fault!r} is no fault: it is one of {', '.join(FAULTS)}")
        self._plans.append(_Plan(fault, kind, id, process, after, times))

    def about_request(self, process: str, request: Request, *, is_worker: bool) -> set[str]:
        """Return the faults that happen to a request."""
        named = {(part.kind, getattr(part, "id", None)) for part in parts(request)}
        has_task = any(part.kind.startswith("task.") for part in parts(request))
        impossible = {*MESSAGE_FAULTS}
        if not is_worker:
            impossible |= NEEDS_WORKER
        if not has_task or isinstance(request, TaskHeartbeat):
            impossible |= NEEDS_TASK
        return self._decide(process, named, impossible)

    def about_message(self, process: str, message: Message) -> set[str]:
        """Return the faults that happen to a message."""
        id = getattr(message, "id", None) or getattr(getattr(message, "promise", None), "id", None)
        return self._decide(process, {(message.kind, id)}, set(FAULTS) - {*MESSAGE_FAULTS})

    def delay(self) -> float:
        """Return how long a delay is, in seconds."""
        return self.random.uniform(0, self.faults.max_delay)

    def outage(self) -> float:
        """Return how long something is away, in seconds."""
        return self.random.uniform(0, self.faults.max_outage)

    def _decide(self, process: str, named: set[tuple[str, str | None]], impossible: set[str]) -> set[str]:
        happens = set()
        for plan in self._plans:
            if plan.fault not in impossible and plan.takes(process, named):
                happens.add(plan.fault)
        for fault in FAULTS:
            chance = getattr(self.faults, fault)
            if chance and fault not in impossible and self.random.random() < chance:
                happens.add(fault)
        return happens
