"""The calls that an application makes from outside durable functions: rfi, rfc, get."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from ._options import Options, OptionValues
from ._roots import RootHandle, Roots
from ._schedules import Schedule, create_schedule
from .protocol import PromiseState

if TYPE_CHECKING:
    from ._context import Context

P = ParamSpec("P")
T = TypeVar("T")
AnyFunction = Callable[..., object]


class RootCalls(ABC):
    """Invocations from the ephemeral world, each under an id that the caller chooses.

    The id makes them idempotent: a second call with the same id finds the first one, and gives the same result.
    """

    @abstractmethod
    def _roots(self) -> Roots:
        """Return what makes invocations. Raises UsageError if we are not open."""

    @abstractmethod
    def _default_options(self) -> Options: ...

    def options(self, **values: Unpack[OptionValues]) -> "RootCalls":
        """Return the same calls with other options.

        Args:
            **values: `group` (name of the group that executes the invocation), `timeout` (seconds), `version` (of
                the function).
        """
        return OptionedRootCalls(self._roots, self._default_options().merged(values))

    @overload
    async def rfi(self, id: str, fn: str, /, *args: object, **kwargs: object) -> RootHandle[Any]: ...
    @overload
    async def rfi(
        self,
        id: str,
        fn: "Callable[Concatenate[Context, P], Awaitable[T]]",
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> RootHandle[T]: ...
    @overload
    async def rfi(
        self, id: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> RootHandle[T]: ...
    @overload
    async def rfi(self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> RootHandle[T]: ...
    async def rfi(self, id: str, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> RootHandle[Any]:
        """Invoke a function remotely; return its handle once the invocation is stored.

        Args:
            id: names the invocation. Without ':', at most 1,024 characters.
            fn: the registered function, or its name.
            *args: its arguments, without the context.
            **kwargs: its keyword arguments.

        Raises:
            UsageError: the call can never work (function not registered, arguments that do not fit).
            ServerUnreachableError: no server answered. The invocation may exist: the same call is safe to repeat.
            AuthenticationError, PermissionDeniedError: the token is missing, wrong, or not enough.
        """
        return await self._roots().invoke(id, fn, args, kwargs, self._default_options())

    @overload
    async def rfc(self, id: str, fn: str, /, *args: object, **kwargs: object) -> Any: ...
    @overload
    async def rfc(
        self,
        id: str,
        fn: "Callable[Concatenate[Context, P], Awaitable[T]]",
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T: ...
    @overload
    async def rfc(self, id: str, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    @overload
    async def rfc(self, id: str, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...
    async def rfc(self, id: str, fn: AnyFunction | str, /, *args: object, **kwargs: object) -> object:
        """Call a function remotely: invoke it as `rfi` does, and wait for its result as the handle does."""
        return await self._roots().call(id, fn, args, kwargs, self._default_options())

    @overload
    async def get(self, id: str, result_type: type[T]) -> RootHandle[T]: ...
    @overload
    async def get(self, id: str, result_type: Any = object) -> RootHandle[Any]: ...
    async def get(self, id: str, result_type: Any = object) -> RootHandle[Any]:
        """Return a handle to an invocation that exists.

        Args:
            id: the id it was made under.
            result_type: what its result is read as.

        Raises:
            PromiseNotFoundError: there is none.
            ServerUnreachableError: no server answered.
        """
        roots = self._roots()
        return RootHandle(roots, await roots.read(id), result_type)

    @overload
    async def schedule(self, id: str, cron: str, fn: str, /, *args: object, **kwargs: object) -> Schedule: ...
    @overload
    async def schedule(
        self,
        id: str,
        cron: str,
        fn: "Callable[Concatenate[Context, P], object]",
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Schedule: ...
    @overload
    async def schedule(
        self, id: str, cron: str, fn: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs
    ) -> Schedule: ...
    async def schedule(
        self, id: str, cron: str, fn: AnyFunction | str, /, *args: object, **kwargs: object
    ) -> Schedule:
        """Have a function invoked by the calendar, from now on; return the schedule once it is stored.

        Each run is an invocation of its own, `{id}-{milliseconds of its instant}`. Options count for each run.
        Runs that fell due while the server was down are made up for, in order. Scheduling the same again changes
        nothing, so a program may do so whenever it starts.

        Args:
            id: names the schedule. Without ':'.
            cron: when, in UTC: minute, hour, day of month, month, day of week (`"0 7 * * mon-fri"`); with six
                fields the second stands first.
            fn: the registered function, or its name.
            *args: its arguments, without the context.
            **kwargs: its keyword arguments.

        Raises:
            UsageError: it can never work (no such cron expression, function not registered, arguments that do not
                fit), or there is another schedule of this id.
            ServerUnreachableError: no server answered. The schedule may exist: the same call is safe to repeat.
        """
        return await create_schedule(self._roots(), id, cron, fn, args, kwargs, self._default_options())

    async def cancel(self, id: str, *, budget: float = 30.0, reason: str | None = None) -> bool:
        """Cancel an invocation and all that it has called, and wait until it has ended.

        Its function gets a `Cancelled` where it waits, and may clean up; what it detached is left alone.
        Cancelling what has ended changes nothing, nor does cancelling twice.

        A wait that is cut leaves the request standing, once it is stored. On a server without the extension
        `cancel` the invocation ends at once, without cleaning up, by several requests; if the call is cut between
        them, repeat it.

        Args:
            id: the id of the invocation.
            budget: seconds that cleaning up may take. Then the server ends the invocation and all it has called.
            reason: why, for people; `InvocationCancelled.reason` where the invocation is awaited.

        Returns:
            Whether it was cancelled; if not, it had a result, had failed or timed out before that.

        Raises:
            UsageError: `budget` is no number of seconds, or the invocation is a local one, a part of another.
            PromiseNotFoundError: there is no such invocation.
            ServerUnreachableError: no server answered. The request may be stored: the same call is safe to repeat.
        """
        promise = await self._roots().cancel(id, budget, reason)
        return promise.state is PromiseState.CANCELED


class OptionedRootCalls(RootCalls):
    """The calls of a client or an application, with options."""

    def __init__(self, roots: Callable[[], Roots], options: Options) -> None:
        self._get_roots = roots
        self._options = options

    def _roots(self) -> Roots:
        return self._get_roots()

    def _default_options(self) -> Options:
        return self._options
