"""What the server offers and does not run here yet."""

from typing import final

import trio
from attrs import define, field

from resonate_trio._execution import HeldTask
from resonate_trio.protocol import Execute


@final
@define(eq=False)
class Offer:
    """A task that the server offers, or has acquired for us, until it runs here or is given back.

    Attributes:
        message: the server's.
        held: the task, if the server has acquired it for us.
        waiting: the wait for a seat.
        is_early: the task is being suspended here, as far as we know: it is taken when we know that it is.
        is_withdrawn: it is not to run here any more.
    """

    message: Execute
    held: HeldTask | None = None
    waiting: trio.CancelScope = field(factory=trio.CancelScope)
    is_early: bool = False
    is_withdrawn: bool = False

    @property
    def moment(self) -> int:
        """When in the life of its task the message was sent: see `moment`."""
        return moment(self.message.version, is_acquired=self.message.acquired is not None)


def moment(version: int, *, is_acquired: bool) -> int:
    """Return a number that grows in the life of a task: offered at 0, acquired as 1, offered at 1 and so on."""
    return 2 * version - is_acquired
