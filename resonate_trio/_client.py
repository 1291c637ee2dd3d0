"""The client: durable functions, called from any async application."""

from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self, final

from ._codec import Codec
from ._config import load_settings
from ._errors import UsageError
from ._ids import Dialect
from ._listeners import Listeners
from ._listening import listen
from ._options import NO_OPTIONS, Options
from ._promises import Promises
from ._registry import Registry
from ._root_calls import RootCalls
from ._roots import Roots
from ._schedules import Schedules
from ._services import open_services
from ._transport import BatchingTransport, HttpTransport, Link
from .protocol import PollAddress

# Clients take part in no work, so they poll in a group of their own, which no function is ever sent to.
CLIENT_GROUP = "resonate-trio-client"


@final
class Client(RootCalls):
    """Calls durable functions from trio or asyncio (FastAPI, Starlette, …). Executes none.

    ```python
    async with Client("http://localhost:8001") as client:
        receipt = await client.rfc("order-17", "foo", order)
    ```

    Attributes:
        promises: reads promises and settles external ones.
        schedules: reads and deletes schedules.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        token: str | None = None,
        registry: Registry | None = None,
        patience: float = 30.0,
        id_dialect: Dialect = "colon",
    ) -> None:
        """Configure a client; `async with` opens it.

        Args:
            url: the server, or RESONATE_URL.
            token: a JWT for a server that asks for one, or RESONATE_TOKEN.
            registry: functions that may be named by their object (`resonate.registry`), not only by name. Either
                way the group that executes one has its name, unless `options(group=...)` says otherwise. And the
                exception classes that are built again here.
            patience: seconds to try for while the server cannot be reached.
            id_dialect: how ids of children are written, "colon" or "dot".

        Raises:
            UsageError: there is no URL, or one that cannot be meant.
        """
        self._settings = load_settings(url, token, None, None)
        if self._settings.url is None:
            raise UsageError(
                "a Client needs the URL of a server: Client('http://localhost:8001'), or RESONATE_URL"
            )
        self.promises = Promises(self._roots)
        self.schedules = Schedules(self._roots)
        self._registry = Registry() if registry is None else registry
        self._patience = patience
        self._dialect: Dialect = id_dialect
        self._open: Roots | None = None
        self._exit = AsyncExitStack()

    def __repr__(self) -> str:
        return f"<Client of {self._settings.url}, {'open' if self._open else 'closed'}>"

    async def __aenter__(self) -> Self:
        if self._open is not None:
            raise UsageError("this Client is open already: one `async with client` at a time")
        settings = self._settings
        assert settings.url is not None
        async with AsyncExitStack() as stack:
            http = HttpTransport(settings.url, token=settings.token)
            transport = await stack.enter_async_context(BatchingTransport(http))
            link = Link(transport, token=settings.token, patience=self._patience)
            listeners = Listeners(link, PollAddress("uni", CLIENT_GROUP, settings.pid))
            services = await stack.enter_async_context(open_services())
            services.start_soon(listen, transport.source(CLIENT_GROUP, settings.pid), listeners)
            self._open = Roots(link, listeners, Codec(self._registry.errors), self._registry, None, self._dialect)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._open = None
        return await self._exit.__aexit__(kind, error, traceback)

    def _roots(self) -> Roots:
        if self._open is None:
            raise UsageError("the Client is not open: use it inside `async with Client(...) as client:`")
        return self._open

    def _default_options(self) -> Options:
        return NO_OPTIONS
