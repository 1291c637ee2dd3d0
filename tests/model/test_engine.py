"""The engine, loop and all, does what the model does: in debug mode, so that time is the test's."""

import orjson
import pytest

from resonate_trio.protocol import DebugSnap, DebugStart, Envelope, Head, decode_request
from server_ref.engine import Engine, open_engine
from server_ref.store import MemoryStore
from tests.server.engine_kit import SettableClock

from .model import Model
from .play import histories
from .steps import HAND_OVER, Step
from .systems import SETTINGS, ModelSystem, leave_out_extras, without_wording

pytestmark = pytest.mark.anyio

HISTORIES = 20


def suits(step: Step) -> bool:
    """Tell whether a step can be had from an engine in debug mode whose clock stands still."""
    return step.debug and step.kind not in {HAND_OVER, "debug.stop"} and "cursor" not in step.data


async def ask(engine: Engine, step: Step) -> dict[str, object]:
    """Have a request performed at its instant."""
    return without_wording(await engine.perform(decode_request(orjson.dumps(step.envelope))))


async def compare(steps: list[Step]) -> int:
    """Perform what suits in an engine and in the model, and return how many replies were the same."""
    model, same = ModelSystem(Model), 0
    async with open_engine(MemoryStore(), clock=SettableClock(0), settings=SETTINGS, debug=True) as engine:
        await engine.perform(Envelope(Head("c"), DebugStart()))
        for step in steps:
            expected, stored, _ = model.perform(step)
            if expected["head"]["status"] == 400:
                continue  # refused by the decoder, most of them, before the engine sees them
            given = await ask(engine, step)
            leave_out_extras(expected, given, model.model.world, step.now)
            assert given == expected, step
            assert await ask(engine, Step(step.now, DebugSnap.kind)) == stored, step
            same += 1
    return same


async def test_the_engine_does_what_the_model_does() -> None:
    """Every reply and all that is stored is the same after every step."""
    same = [await compare([step for step in steps if suits(step)]) for steps in histories(HISTORIES)]
    assert sum(same) > 20 * HISTORIES
