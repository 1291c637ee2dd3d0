"""The seven flows: what each should come to, and what is done to it meanwhile.

A kill comes at an exact moment of a flow, found by what the services tell, never after some time. Where a flow
must not run away meanwhile, it waits for a promise that the demo settles.
"""

from collections.abc import Awaitable, Callable
from typing import Final, final

from attrs import frozen

from .graph import State, Tally
from .report import Scene
from .stage import SERVER, Stage


@final
@frozen
class Flow:
    """A flow, ready to be played.

    Attributes:
        scene: what it should come to.
        play: plays it on a stage, under the id that it is given; returns its result.
    """

    scene: Scene
    play: Callable[[Stage, str], Awaitable[object]]


async def _fan_out(stage: Stage, id: str) -> object:
    return await (await stage.invoke(id, "fan_out"))


async def _chain(stage: Stage, id: str) -> object:
    return await (await stage.invoke(id, "chain"))


async def _detached(stage: Stage, id: str) -> object:
    sent = await (await stage.invoke(id, "send"))
    stage.say(f"foo returns: {sent}")
    # Nobody can have signed before foo was back, so a foo that waited for baz would wait for ever.
    deliver = await stage.seen(id, "deliver", State.SUSPENDED)
    await stage.settle_open(id, "signed")
    return f"{sent}, {await (await stage.client.get(deliver.id))}"


async def _recursion(stage: Stage, id: str) -> object:
    return await (await stage.invoke(id, "factorial", 10))


async def _callee_killed(stage: Stage, id: str) -> object:
    ask = await stage.invoke(id, "ask")
    think = await stage.seen(id, "think", State.RUNNING)
    stage.say(f"{think.process} is killed while it runs think")
    await stage.kill(think.process)
    name = await stage.start_service("bar")
    stage.say(f"{name} is up, and gets the task once the lease of {think.process} is over")
    await stage.seen(id, "think", State.RUNNING)
    await stage.settle_open(id, 41)
    return await ask


async def _caller_killed(stage: Stage, id: str) -> object:
    checkout = await stage.invoke(id, "checkout", 3)
    caller = await stage.seen(id, "checkout", State.SUSPENDED)
    await stage.seen(id, "ship", State.SUSPENDED)
    stage.say(f"{caller.process} is killed while it waits for ship")
    await stage.kill(caller.process)
    await stage.settle_open(id, 5)
    stage.say("ship goes on; then checkout does, in another foo")
    return await checkout


async def _server_killed(stage: Stage, id: str) -> object:
    checkout = await stage.invoke(id, "checkout", 3)
    await stage.seen(id, "checkout", State.SUSPENDED)
    await stage.seen(id, "ship", State.SUSPENDED)
    stage.say("the server is killed while both wait")
    await stage.kill(SERVER)
    await stage.start_server()
    stage.say("the server is back, on the same file")
    await stage.settle_open(id, 5)
    return await checkout


FLOWS: Final = (
    Flow(
        Scene("fan-out", "foo invokes bar and baz, and adds up what they return", 2, Tally(executed=3)),
        _fan_out,
    ),
    Flow(
        Scene("chain", "foo calls bar, bar calls baz; each adds 1 on the way back", 3, Tally(executed=3)),
        _chain,
    ),
    Flow(
        Scene("detached", "foo hands over to bar, bar to baz; nobody waits", "sent, signed", Tally(executed=3)),
        _detached,
    ),
    Flow(
        Scene(
            "recursion", "factorial of 10: foo invokes itself, in either process", 3_628_800, Tally(executed=10)
        ),
        _recursion,
    ),
    Flow(
        Scene("callee killed", "bar is killed while it works", 42, Tally(executed=2, cut_off=1)),
        _callee_killed,
    ),
    Flow(
        Scene("caller killed", "foo is killed while it waits", 32, Tally(executed=6, replayed=3)),
        _caller_killed,
    ),
    Flow(
        Scene("server killed", "the server is killed and started again", 32, Tally(executed=6)),
        _server_killed,
    ),
)
