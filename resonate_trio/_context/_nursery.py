"""Durable nurseries: fan-out whose end waits for everything that was started in it."""

from types import TracebackType
from typing import final

from resonate_trio._options import Options

from ._calls import Calls
from ._scope import Scope


@final
class Nursery(Calls):
    """Owns the invocations that are made through it; made by `ctx.open_nursery()`.

    The end of its block waits, durably, until all of them have their outcome. If any failed, or the block itself
    did, it then raises an ExceptionGroup: the block's own exception first, then the stored failures in order of
    creation. As in trio it is always a group: handle it with `except*`. A call (rfc, lfc) is no child: its failure
    is raised at the call, and is the block's to handle.
    """

    def __init__(self, scope: Scope, options: Options) -> None:
        super().__init__(scope, options)

    def __repr__(self) -> str:
        return f"<Nursery: {self._scope!r}>"


@final
class NurseryManager:
    """The block of `async with ctx.open_nursery() as nursery`."""

    def __init__(self, parent: Scope, options: Options) -> None:
        self._parent = parent
        self._scope = Scope(parent.frame)
        self._nursery = Nursery(self._scope, options)

    async def __aenter__(self) -> Nursery:
        self._parent.frame.check_task("open_nursery()")
        return self._nursery

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and not isinstance(error, Exception):
            self._leave_early()
            return
        try:
            failures = await self._scope.join(awaited_ones_too=True)
        except BaseException:
            self._leave_early()
            raise
        self._scope.close()
        if error is not None and not any(error is failure for failure in failures):
            failures.insert(0, error)
        if failures:
            raise ExceptionGroup(f"{len(failures)} failed in a nursery of {self._id}", failures)

    def _leave_early(self) -> None:
        # A plain trio scope was cancelled, or the execution ended. Whoever survives that must still wait.
        self._scope.bequeath(self._parent)
        self._scope.close()

    @property
    def _id(self) -> str:
        return repr(self._parent.frame.lineage.id)

    def __repr__(self) -> str:
        return f"<NurseryManager of {self._nursery!r}>"
