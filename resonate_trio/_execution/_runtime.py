"""What all executions of one worker share."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias, final

from attrs import frozen

from resonate_trio._clock import Clock
from resonate_trio._codec import Codec
from resonate_trio._ids import Dialect
from resonate_trio._instrument import Instrument
from resonate_trio._registry import Registry
from resonate_trio._transport import Link
from resonate_trio.protocol import Promise

Listen: TypeAlias = Callable[[str], Awaitable[Promise]]


@final
@frozen
class Runtime:
    """The surroundings of an execution.

    Attributes:
        group: the group of this worker, where functions run that are registered here.
        dialect: how ids of children are written.
        listen: returns a promise once it is settled, however long that takes. Without it a running execution hears
            of what has happened elsewhere when it has nothing to do itself.
    """

    link: Link
    clock: Clock
    codec: Codec
    registry: Registry
    group: str
    dialect: Dialect
    instrument: Instrument
    listen: Listen | None = None
