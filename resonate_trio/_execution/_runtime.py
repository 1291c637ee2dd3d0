"""What all executions of one worker share."""

from typing import final

from attrs import frozen

from resonate_trio._clock import Clock
from resonate_trio._codec import Codec
from resonate_trio._ids import Dialect
from resonate_trio._instrument import Instrument
from resonate_trio._registry import Registry
from resonate_trio._transport import Link


@final
@frozen
class Runtime:
    """The surroundings of an execution.

    Attributes:
        group: the group of this worker, where functions run that are registered here.
        dialect: how ids of children are written.
    """

    link: Link
    clock: Clock
    codec: Codec
    registry: Registry
    group: str
    dialect: Dialect
    instrument: Instrument
