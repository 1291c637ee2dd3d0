"""What a server sends to workers and listeners of its own accord."""

from typing import ClassVar, final

from attrs import frozen

from ._records import Id, Millis, Promise, Version
from ._replies import Acquired


@final
@frozen
class Execute:
    """Please acquire this task, at this version. One that is to be cancelled says since when.

    With `acquired` it is held already, as by the reply to a task.acquire. (An extension.)
    """

    kind: ClassVar[str] = "execute"
    id: Id
    version: Version
    server_url: str = ""
    cancelled_at: Millis | None = None
    acquired: Acquired | None = None


@final
@frozen
class Unblock:
    """A promise that you listen to has settled."""

    kind: ClassVar[str] = "unblock"
    promise: Promise


@final
@frozen
class Cancel:
    """The task that you hold is to be cancelled. (An extension.)"""

    kind: ClassVar[str] = "cancel"
    id: Id
    version: Version
    cancelled_at: Millis


Message = Execute | Unblock | Cancel
