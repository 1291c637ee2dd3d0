"""The calls that an application makes from outside durable functions: rfi, rfc, get."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, Unpack, overload

from ._options import Options, OptionValues
from ._roots import RootHandle, Roots

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
        return await (await self._roots().invoke(id, fn, args, kwargs, self._default_options()))

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


class OptionedRootCalls(RootCalls):
    """The calls of a client or an application, with options."""

    def __init__(self, roots: Callable[[], Roots], options: Options) -> None:
        self._get_roots = roots
        self._options = options

    def _roots(self) -> Roots:
        return self._get_roots()

    def _default_options(self) -> Options:
        return self._options
