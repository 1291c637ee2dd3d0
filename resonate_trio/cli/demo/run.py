"""Playing the demo from its first process to its last."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

import trio

from .flows import FLOWS, Flow
from .report import Report
from .screen import Screen
from .stage import Stage, open_stage

FLOW_LIMIT: Final = 20.0
"""Seconds that a flow may take."""
DEMO_LIMIT: Final = 55.0
"""Seconds that the demo may take as a whole."""
REST_LIMIT: Final = 5.0
"""Seconds that may pass from the result of a flow until everything that belongs to it has been told."""


@final
class Interruption:
    """The signal that ends the demo early, if there is one.

    Attributes:
        signum: its number.
    """

    def __init__(self) -> None:
        self.signum: int | None = None

    async def heed(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        """Cancel the scope at the first signal; ignore others, as ending does not take long."""
        async for signum in signals:
            self.signum = self.signum or signum
            scope.cancel()


async def run(screen: Screen) -> int:
    """Play all flows and show how they ended. However this ends, no process and no file is left behind.

    Returns:
        The exit status. 0: all as expected; 1: something differed; 128 and more: a signal came.

    Raises:
        ExceptionGroup: of ProcessFailedError, when a process ended unasked; of TimeoutError, when one did not
            start in time; of trio.TooSlowError, when all took too long, though no flow did.
    """
    interruption = Interruption()
    reports: list[Report] = []
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(interruption.heed, signals, nursery.cancel_scope)
            await _play_all(screen, reports)
            nursery.cancel_scope.cancel()
    if interruption.signum is not None:
        return 128 + interruption.signum
    screen.show_table(reports)
    return int(any(report.problems for report in reports))


async def _play_all(screen: Screen, reports: list[Report]) -> None:
    with TemporaryDirectory(prefix="resonate-demo-") as folder, trio.fail_after(DEMO_LIMIT):
        async with screen.open(), open_stage(Path(folder), screen) as stage:
            for flow in FLOWS:
                reports.append(await _play(flow, stage, screen))
                if isinstance(reports[-1].result, Exception):
                    break  # the stage is not what the next flow expects it to be


async def _play(flow: Flow, stage: Stage, screen: Screen) -> Report:
    id = flow.scene.id
    screen.began(flow.scene)
    began_at = trio.current_time()
    result = await _result(flow, stage)
    seconds = trio.current_time() - began_at
    with trio.move_on_after(REST_LIMIT):
        await stage.until(lambda: stage.graph.is_over(id))
    report = Report(flow.scene, result, stage.graph.tally(id), seconds)
    screen.ended(report)
    return report


async def _result(flow: Flow, stage: Stage) -> object:
    """Return the result of a flow, or the exception that came instead."""
    try:
        with trio.move_on_after(FLOW_LIMIT):
            return await flow.play(stage, flow.scene.id)
    except Exception as error:
        return error
    return TimeoutError(f"no result in {FLOW_LIMIT:.0f} s")
