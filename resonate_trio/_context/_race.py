"""The first success among several: a choice that is stored, because a replay could not make it again."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from resonate_trio._codec import Call
from resonate_trio._errors import DivergenceError, UsageError
from resonate_trio._execution import Wait
from resonate_trio._outcome import Cancellation
from resonate_trio.protocol import EMPTY, PromiseCreate, PromiseState, tags

from ._children import Children
from ._frame import Frame
from ._handle import Handle

Runners = Sequence[Handle[Any]]


async def race(children: Children) -> object:
    """Return the value of the first of them that succeeds; cancel the others, and wait until they have ended."""
    frame, runners = children.frame, children.handles
    if not runners:
        raise UsageError(
            "nursery.first() needs something to wait for: make invocations through the nursery before"
        )
    children.is_racing = True
    try:
        choice = _request(frame)
        await _choose(frame, choice, runners)
        winner = _chosen(frame, choice.id, runners)
        for runner in runners:
            if runner is not winner:
                frame.cancel(runner.id)
        await frame.wait([runner.id for runner in runners])
    finally:
        children.is_racing = False
    for runner in runners:
        runner.was_awaited = True
        runner.receive()
        children.disown(runner)
    cutter = frame.cutter([choice.id], frame.innermost)
    if cutter is not None:
        await cutter.raise_cancelled()
    if winner is None:
        errors = [runner.read().error for runner in runners]
        raise ExceptionGroup(
            f"all of {len(runners)} have failed", [error for error in errors if error is not None]
        )
    return winner.read().unwrap()


def _request(frame: Frame) -> PromiseCreate:
    """Describe the promise that holds the choice: the id of the winner, nothing if there is none."""
    lineage = frame.next_local()
    frame.runtime.instrument.invoked(lineage.id, "local", "nursery.first", frame.lineage.id)
    param = frame.runtime.codec.encode_call(Call("nursery.first"))
    return frame.create(lineage, frame.run.timeout_at, {tags.SCOPE: tags.LOCAL}, param)


async def _choose(frame: Frame, choice: PromiseCreate, runners: Runners) -> None:
    """Wait until one has succeeded, or all have failed, and store that."""
    ledger, codec, scope = frame.execution.ledger, frame.runtime.codec, frame.innermost
    frame.check_plain_scopes()
    is_new = ledger.claim(choice)
    while not ledger.is_known(choice.id):
        known = [runner for runner in runners if ledger.is_known(runner.id)]
        winner = next((runner for runner in known if runner.read().error is None), None)
        canceller = frame.look(scope)
        if winner is not None:
            outcome = PromiseState.RESOLVED, codec.encode(winner.id)
        elif len(known) == len(runners):
            outcome = PromiseState.RESOLVED, EMPTY
        elif canceller is not None:
            outcome = PromiseState.CANCELED, Cancellation(canceller.id).encode(codec)
        else:
            unknown = [runner.id for runner in runners if runner not in known]
            await frame.stand(Wait(unknown, partial(frame.alarms, scope), first=True), scope)
            continue
        with frame.writing():
            if is_new:
                await ledger.create(choice)
            await ledger.settle(choice.id, *outcome)
        is_new = False


def _chosen(frame: Frame, id: str, runners: Runners) -> Handle[Any] | None:
    """Return the winner, as it is stored; None if there is none."""
    choice = frame.execution.ledger.journal.settled(id)
    if choice is None or choice.state is not PromiseState.RESOLVED:
        return None
    winner = frame.runtime.codec.decode(choice.value)
    if winner is None:
        return None
    for runner in runners:
        if runner.id == winner:
            return runner
    among = ", ".join(runner.id for runner in runners)
    raise frame.execution.life.diverge(
        DivergenceError(id, asked=f"the first of {among}", stored=f"that it was {winner}")
    )
