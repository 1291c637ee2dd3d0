"""Messages to workers and listeners that are reached by HTTP: each is posted to its address."""

import logging
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from typing import Final, final
from urllib.parse import urlsplit

import anyio
import httpx
import orjson
from anyio.abc import TaskGroup
from attrs import define, frozen

from resonate_trio.protocol import Execute, PushAddress, message_to_wire
from server_ref.machine import Outgoing, OutgoingKey

from ._choice import Slot
from ._parcels import slot_of

logger = logging.getLogger(__name__)


@final
@frozen
class PushSettings:
    """How hard the server tries, in seconds.

    Attributes:
        timeout: how long a receiver may take to answer.
        concurrency: how many messages may be on their way to one host.
        first_delay: after how long a refused `unblock` is posted again; each time twice as long.
        last_delay: how long that gets at most.
    """

    timeout: float = 10.0
    concurrency: int = 8
    first_delay: float = 1.0
    last_delay: float = 60.0


DEFAULTS: Final = PushSettings()


@final
@define(eq=False)
class _Host:
    """The turnstile of one host, kept while anybody uses it."""

    turnstile: anyio.Semaphore
    users: int = 0


@final
class Pusher:
    """Posts messages, few at a time to the same host, so that a slow one does not hold up the others.

    An `execute` is tried once: the server dispatches it again when its task is not acquired in time. An
    `unblock` has nothing behind it, so it is tried until it was taken.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        resources: AsyncExitStack,
        handed_over: Callable[[OutgoingKey], None],
        *,
        settings: PushSettings,
        new_client: Callable[[], httpx.AsyncClient],
    ) -> None:
        self._tasks = tasks
        self._resources = resources
        self._handed_over = handed_over
        self._settings = settings
        self._new_client = new_client
        self._client: httpx.AsyncClient | None = None
        self._hosts: dict[str, _Host] = {}
        self._current: dict[Slot, Outgoing] = {}
        self._busy: set[Slot] = set()

    def post(self, outgoing: Outgoing, address: PushAddress) -> None:
        """Take in a message. Of two in one slot, the newer one is sent."""
        slot = slot_of(outgoing)
        self._current[slot] = outgoing
        if slot not in self._busy:
            self._busy.add(slot)
            self._tasks.start_soon(self._deliver, slot, address)

    def withdraw(self, task_id: str) -> None:
        """Forget the `execute` message of a task, unless it is on the wire already."""
        self._current.pop((Execute.kind, task_id), None)

    def clear(self) -> None:
        """Forget all messages."""
        self._current.clear()

    async def _deliver(self, slot: Slot, address: PushAddress) -> None:
        """Post what is in a slot until nothing is left in it."""
        delay = self._settings.first_delay
        with self._host(address) as host:
            while True:
                async with host.turnstile:
                    outgoing = self._current.get(slot)
                    if outgoing is None:
                        break
                    is_taken = await self._send(outgoing, address)
                if is_taken:
                    self._handed_over(outgoing.key)
                if is_taken or isinstance(outgoing.message, Execute):
                    if self._current.get(slot) is outgoing:
                        del self._current[slot]
                else:
                    await anyio.sleep(delay)
                    delay = min(delay * 2, self._settings.last_delay)
        self._busy.discard(slot)

    async def _send(self, outgoing: Outgoing, address: PushAddress) -> bool:
        body = orjson.dumps(message_to_wire(outgoing.message))
        if self._client is None:
            # Not before it is needed: reading the certificates takes longer than the start of the server.
            self._client = self._new_client()
            self._resources.push_async_callback(self._client.aclose)
        try:
            answer = await self._client.post(
                address.url,
                content=body,
                headers={"content-type": "application/json"},
                timeout=self._settings.timeout,
            )
        except Exception as error:  # whatever an address makes the client raise, it is that message's affair
            logger.info("%s to %s failed: %r", outgoing.message.kind, _host_of(address), error)
            return False
        if not answer.is_success:
            logger.info("%s to %s: status %s", outgoing.message.kind, _host_of(address), answer.status_code)
        return answer.is_success

    @contextmanager
    def _host(self, address: PushAddress) -> Generator[_Host]:
        name = _host_of(address)
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host(anyio.Semaphore(self._settings.concurrency))
        host.users += 1
        try:
            yield host
        finally:
            host.users -= 1
            if not host.users:
                del self._hosts[name]


def _host_of(address: PushAddress) -> str:
    """Return host and port, without the credentials that a URL may carry."""
    return urlsplit(address.url).netloc.rpartition("@")[2]
