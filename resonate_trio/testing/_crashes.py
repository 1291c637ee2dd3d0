"""Whether a flow survives every crash: it is run once for each point at which its worker can crash."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from attrs import define, field, frozen

from resonate_trio import Registry, Resonate, WorkerOptions
from resonate_trio._codec import Codec
from resonate_trio.protocol import Promise, Request, TaskHeartbeat

from ._effects import Effect, Effects, differences
from ._network import Side
from ._time import run
from ._trace import described
from ._world import open_world

FLOW_ID: Final = "flow"
# Short, so that what a flow does by the clock is disturbed as little as possible.
LEASE_S: Final = 1.0
SIDES: Final[Mapping[Side, str]] = {"before": "before it sends", "after": "before it hears of"}


@final
@frozen
class CrashPoint:
    """A point at which a worker can crash: between two of its steps, as far as the server can tell.

    Attributes:
        number: counted from 1.
        worker: who crashes.
        side: "before" the request is sent, or "after" it took effect, before the reply.
        request: the request, as traces show it.
    """

    number: int
    worker: str
    side: Side
    request: str

    def __str__(self) -> str:
        return f"point {self.number}: {self.worker} crashes {SIDES[self.side]} {self.request}"


@final
@frozen
class CrashReport:
    """What `check_crash_safe` has tried.

    Attributes:
        points: where workers have crashed, one run for each.
        trace: that of the undisturbed run.
    """

    points: Sequence[CrashPoint]
    trace: str


@final
class CrashSafetyError(AssertionError):
    """After a crash at some point, a flow gives another result, or has other effects.

    Attributes:
        point: where the worker crashed; None if two undisturbed runs differ already.
        differences: what is different, in sentences.
        expected: the trace of the undisturbed run.
        found: the trace of the run with the crash.
    """

    def __init__(self, point: CrashPoint | None, differences: Sequence[str], expected: str, found: str) -> None:
        what = str(point) if point else "run again, with no crash at all"
        listed = "\n".join(f"  - {difference}" for difference in differences)
        super().__init__(
            f"not safe: {what}\n{listed}\n\n"
            f"--- trace of the undisturbed run ---\n{expected}\n\n--- trace of the run with the crash ---\n{found}"
        )
        self.point = point
        self.differences = differences
        self.expected = expected
        self.found = found


def check_crash_safe(
    flow: Callable[..., object],
    *args: object,
    app: Resonate | Registry | None = None,
    functions: Sequence[Callable[..., object]] = (),
    groups: Mapping[str, Resonate | Registry | Sequence[Callable[..., object]]] | None = None,
    effects: Effects | None = None,
    at_least_once: Sequence[str] = (),
    setup: Callable[[], object] | None = None,
    seed: int = 0,
) -> CrashReport:
    """Run a flow once for every point at which a crash can happen; fail if any result or effect differs.

    The first run is undisturbed. It shows the points: before each request that a worker sends, and after it took
    effect, before its reply. Then, for each of them, all begins anew in a world of its own: the worker crashes
    there, is started again soon, and the flow goes on to its end, as does whatever it has detached. What must be
    the same as without the crash: the result, or the failure; the invocations that are stored; and the effects.

    It starts event loops, so call it in a plain test, not in an async one.

    Args:
        flow: the durable function.
        *args: its arguments.
        app: your application or registry, if `flow` is registered there.
        functions: others that it calls remotely, in its own group.
        groups: what workers of other groups execute. They crash as well.
        effects: what your fakes note their work in. An effect with a key counts once, as a service that knows the
            key does nothing the second time. One without a key must happen exactly as often as without a crash.
        at_least_once: names of effects that may happen more often than that.
        setup: called before each run, to reset your fakes.
        seed: decides in which order tasks run that could run at the same time.

    Returns:
        What was tried.

    Raises:
        CrashSafetyError: something differs; the first point at which it does.
        UsageError: `flow` is not registered in `app`, or its arguments do not fit.
    """
    trial = _Trial(
        flow, args, app, functions, groups or {}, Effects() if effects is None else effects, setup, seed
    )
    undisturbed = trial.run(None)
    points = undisturbed.points
    for point in (None, *points):
        found = trial.run(point)
        differs = _compared(undisturbed, found, at_least_once)
        if differs:
            raise CrashSafetyError(point, differs, undisturbed.trace, found.trace)
    return CrashReport(points, undisturbed.trace)


@final
@frozen
class _Run:
    outcome: object
    failure: str
    effects: Sequence[Effect]
    invocations: Mapping[str, str]
    points: Sequence[CrashPoint]
    trace: str


@final
@frozen
class _Trial:
    flow: Callable[..., object]
    args: Sequence[object]
    app: Resonate | Registry | None
    functions: Sequence[Callable[..., object]]
    groups: Mapping[str, Resonate | Registry | Sequence[Callable[..., object]]]
    effects: Effects
    setup: Callable[[], object] | None
    seed: int

    def run(self, point: CrashPoint | None) -> _Run:
        """Run the flow in a world of its own, with a crash at a point."""
        self.effects.clear()
        if self.setup is not None:
            self.setup()
        return run(self._main, point, seed=self.seed)

    async def _main(self, point: CrashPoint | None) -> _Run:
        watch = _Watch(point)
        outcome, failure = None, ""
        async with open_world(seed=self.seed) as world:
            world.crash_where(watch.crashes_at)
            options = WorkerOptions(lease=LEASE_S)
            await world.start_worker(*self._own(), options=options)
            for group, functions in self.groups.items():
                what = (functions,) if isinstance(functions, Resonate | Registry) else functions
                await world.start_worker(*what, group=group, options=options)
            try:
                outcome = await world.client.rfc(FLOW_ID, self.flow, *self.args)
            except Exception as error:
                failure = _shape(error)
            await world.settle()
            invocations = {promise.id: _named(promise) for promise in await world.promises()}
            trace = str(world.trace)
        return _Run(outcome, failure, tuple(self.effects), invocations, watch.points, trace)

    def _own(self) -> Sequence[Any]:
        if self.app is None:
            return (self.flow, *self.functions)
        return (self.app,)


@final
@define
class _Watch:
    """Counts the points that a run passes, and has one of them crash."""

    point: CrashPoint | None
    points: list[CrashPoint] = field(factory=list, init=False)
    _has_crashed: bool = field(default=False, init=False)

    def crashes_at(self, worker: str, request: Request, side: Side) -> bool:
        """Note a point; tell whether the worker crashes there."""
        text = described(request)
        # In a row of heartbeats nothing else is stored, so one stands for all.
        if isinstance(request, TaskHeartbeat) and any(
            (point.request, point.side) == (text, side) for point in self.points[-2:]
        ):
            return False
        self.points.append(CrashPoint(len(self.points) + 1, worker, side, text))
        if self.point is None or self._has_crashed or len(self.points) < self.point.number:
            return False
        self._has_crashed = True
        return True


def _compared(expected: _Run, found: _Run, at_least_once: Sequence[str]) -> list[str]:
    differs = []
    if expected.failure != found.failure or expected.outcome != found.outcome:
        differs.append(f"it gave {_outcome(found)}, undisturbed {_outcome(expected)}")
    for id in sorted({*expected.invocations, *found.invocations}):
        before, after = expected.invocations.get(id, "nothing"), found.invocations.get(id, "nothing")
        if before != after:
            differs.append(f"at {id!r} it invoked {after}, undisturbed {before}")
    return differs + differences(expected.effects, found.effects, at_least_once)


def _outcome(run: _Run) -> str:
    return f"the failure {run.failure}" if run.failure else f"the result {run.outcome!r}"


def _shape(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return f"{type(error).__name__}({', '.join(map(_shape, error.exceptions))})"
    return f"{type(error).__name__}({error})"


def _named(promise: Promise) -> str:
    try:
        return Codec().decode_call(promise.param).func
    except Exception:
        return "a promise without a function"
