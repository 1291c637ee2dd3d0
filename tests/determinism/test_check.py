"""What the check finds: functions, and a runtime, that decide by something that is not stored."""

from collections.abc import Sequence
from itertools import count
from typing import Final

import pytest
import trio

from resonate_trio import Context
from resonate_trio._context._cancel_scope import CancelScope
from resonate_trio._context._frame import Frame
from resonate_trio._execution import Run

from . import flows as fan, flows_cancelling as cut
from .check import Check
from .choices import Choices
from .play import Body, Flow, Make, play
from .server import USUAL
from .stage import Stage
from .story import Bounds

QUIET: Final = Bounds()


def _found(make: Make, bounds: Bounds = QUIET, *, may_be_cancelled: bool = False) -> str:
    """Return what a check of all histories says. There must be something."""
    with pytest.raises(AssertionError) as raised:
        Check(Flow(make, may_be_cancelled=may_be_cancelled)).play_all(bounds, USUAL)
    return str(raised.value)


def test_a_path_that_depends_on_the_run_is_found() -> None:
    """A second run sees something else than the first."""
    runs = count()

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            stage.saw(ctx, f"run {next(runs)}")
            await ctx.rfc("ok")

        return flow

    assert "a replay takes another path" in _found(make)


def test_a_path_that_depends_on_the_clock_is_found() -> None:
    """A deadline that is looked up on the clock passes in one run, and not in another."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            await ctx.sleep(10)
            stage.saw(ctx, trio.current_time())

        return flow

    assert "a replay takes another path" in _found(make)


def test_a_path_that_depends_on_what_was_heard_is_found() -> None:
    """Asking whether another has ended yet tells when one is asked, not what is stored."""

    def make(stage: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            one, two = ctx.rfi("ok", 1), ctx.rfi("ok", 2)
            await one
            stage.saw(ctx, ctx._frame.execution.ledger.is_known(two.id))
            await two

        return flow

    assert "another path" in _found(make)


def test_other_calls_in_another_run_are_found() -> None:
    """The runtime itself halts the task; the message tells what has happened."""
    runs = count()

    def make(_: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            await ctx.rfc("ok", next(runs))

        return flow

    message = _found(make, Bounds(crashes=1))
    assert "the code has changed" in message
    assert "r:1 ends: ok" in message


def test_a_result_that_is_not_stored_is_found() -> None:
    """The paths are the same, their ends are not."""
    runs = count()

    def make(_: Stage) -> Body:
        async def flow(ctx: Context) -> int:
            await ctx.rfc("ok")
            return next(runs)

        return flow

    assert "a replay ends as resolved 1, not resolved 0" in _found(make)


def test_a_function_that_waits_for_ever_is_found() -> None:
    """Nothing that may happen lets it go on."""

    def make(_: Stage) -> Body:
        async def flow(ctx: Context) -> None:
            await ctx.rfc("never")

        return flow

    assert "it waits for what never happens" in _found(make)


def test_a_runtime_that_forgets_that_it_has_cut_a_leaf_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A replay goes on where the first run was cut, before any call that could tell of it."""

    def recall(run: Run, **_: object) -> None:
        run._may_cut = False

    monkeypatch.setattr(Run, "recall", recall)
    assert "the code has changed" in _found(cut.io_first(), Bounds(crashes=1), may_be_cancelled=True)


def test_a_runtime_that_cuts_waits_whose_outcome_is_stored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that is heard of late cuts what it did not cut when it was heard of at once."""
    monkeypatch.setattr(Frame, "wait", _impatient(Frame.wait))
    assert "the code has changed" in _found(fan.beside_a_call(1))


def test_a_runtime_that_cuts_waits_before_that_is_stored_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was waited for then ends otherwise, and a replay is not cut."""

    async def wait(frame: Frame, ids: Sequence[str], *, scope: CancelScope | None = None) -> CancelScope | None:
        canceller = frame.look(scope or frame.innermost)
        return canceller if canceller is not None else await original(frame, ids, scope=scope)

    original = Frame.wait
    monkeypatch.setattr(Frame, "wait", wait)
    monkeypatch.setattr(Frame, "cancel", lambda *_, **__: None)
    assert "another path" in _found(cut.move_on())


def test_the_same_choices_give_the_same_history() -> None:
    """A failure can be repeated."""
    bounds = Bounds(crashes=1, interruptions=2)
    told = [play(Flow(fan.nursery(3)), USUAL, bounds, Choices([0, 1, 1])).story.told for _ in range(2)]
    assert told[0] == told[1]
    assert len(told[0]) > 3


def _impatient(original: object) -> object:
    """Return a wait that looks at the scope first, and only then at what is stored."""

    async def wait(frame: Frame, ids: Sequence[str], *, scope: CancelScope | None = None) -> CancelScope | None:
        outcome = await original(frame, ids, scope=scope)  # type: ignore[operator]
        canceller = (scope or frame.innermost).canceller()
        return canceller if ids and canceller is not None else outcome

    return wait
