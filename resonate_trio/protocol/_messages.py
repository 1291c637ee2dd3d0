"""What a server sends to workers and listeners of its own accord."""

from typing import ClassVar, final

from attrs import frozen

from ._records import Id, Promise, Version


@final
@frozen
class Execute:
    """Please acquire this task, at this version."""

    kind: ClassVar[str] = "execute"
    id: Id
    version: Version
    server_url: str = ""


@final
@frozen
class Unblock:
    """A promise that you listen to has settled."""

    kind: ClassVar[str] = "unblock"
    promise: Promise


Message = Execute | Unblock
