"""Over HTTP: the client on trio and asyncio, the application on trio, and servers that are no good."""

import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, asynccontextmanager

import anyio
import anyio.from_thread
import pytest
import trio
from attrs import frozen

from resonate_trio import (
    AuthenticationError,
    Client,
    Context,
    InvocationTimedOut,
    Never,
    PermissionDeniedError,
    PromiseNotFoundError,
    Registry,
    Resonate,
    ResonateError,
    ServerError,
    ServerUnreachableError,
    UnregisteredFunctionError,
    UsageError,
    WorkerOptions,
)
from resonate_trio._transport import HttpTransport, Unreachable
from resonate_trio.protocol import Envelope, Head, PromiseGet
from server_ref.machine import Extensions

from .http_kit import answering, refusal, serving

pytestmark = pytest.mark.anyio


@frozen
class Order:
    """What is ordered."""

    items: tuple[str, ...]


@frozen
class Parcel:
    """What comes of it."""

    contents: tuple[str, ...]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run each test on both backends."""
    return str(request.param)


@pytest.fixture
def id(request: pytest.FixtureRequest) -> str:
    """Return an id for an invocation that no other test uses."""
    return str(request.node.name)


@pytest.fixture(scope="module")
def url(server_extensions: Extensions) -> Generator[str]:
    """Run a server, and a service on it, in threads of their own; return the server's URL."""
    with ExitStack() as stack:
        url = stack.enter_context(serving(server_extensions))
        portal = stack.enter_context(anyio.from_thread.start_blocking_portal("trio"))
        stack.enter_context(portal.wrap_async_context_manager(open_shop(url)))
        yield url


@asynccontextmanager
async def open_shop(url: str) -> AsyncGenerator[None]:
    """Run the service that the tests call."""
    shop = Resonate(url, group="shop")

    @shop.register
    async def pack(ctx: Context, order: Order) -> Parcel:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.rfi(wrap, item) for item in order.items]
        return Parcel(tuple(handle.value for handle in handles))

    @shop.register
    def wrap(item: str) -> str:
        return f"<{item}>"

    @shop.register(retry=Never())
    def fail() -> None:
        raise KeyError("k")

    @shop.register
    async def ask(ctx: Context) -> object:
        return await (await ctx.promise())

    async with shop:
        yield


# --- The client ---------------------------------------------------------------------------------------


async def test_client_calls_by_name(url: str, id: str) -> None:
    """The result of a function that is named by a string is plain data."""
    async with Client(url) as client:
        result = await client.options(group="shop").rfc(id, "pack", Order(("a", "b")))
    assert result == {"contents": ["<a>", "<b>"]}


async def test_client_calls_by_object(url: str, id: str) -> None:
    """With a registry that has the function, the result has its type."""
    registry = Registry()

    async def pack(order: Order) -> Parcel:
        raise AssertionError("a client executes nothing")

    registry.register(pack)
    async with Client(url, registry=registry) as client:
        parcel = await client.options(group="shop").rfc(id, pack, Order(("a",)))
    assert parcel == Parcel(("<a>",))


async def test_client_refuses_an_object_that_is_not_registered(url: str, id: str) -> None:
    """The message says to register it, or to use its name."""
    async with Client(url) as client:
        with pytest.raises(UnregisteredFunctionError):
            await client.rfc(id, open_shop, url)


async def test_client_invokes_and_waits_later(url: str, id: str) -> None:
    """A handle is had at once; another one by its id, read as a type."""
    async with Client(url) as client:
        shop = client.options(group="shop")
        handle = await shop.rfi(id, "pack", Order(("a",)))
        assert await handle == {"contents": ["<a>"]}
        assert await handle.done()
        assert await (await client.get(id, Parcel)) == Parcel(("<a>",))


async def test_client_waits_for_many_at_once(url: str, id: str) -> None:
    """All over one connection for messages."""
    results: dict[int, str] = {}
    async with Client(url) as client:
        shop = client.options(group="shop")

        async def call(n: int) -> None:
            results[n] = await shop.rfc(f"{id}{n}", "wrap", str(n))

        async with anyio.create_task_group() as tasks:
            for n in range(30):
                tasks.start_soon(call, n)
    assert results == {n: f"<{n}>" for n in range(30)}


async def test_client_gets_the_error(url: str, id: str) -> None:
    """What the function raised is raised here, with a note that says where it was."""
    async with Client(url) as client:
        with pytest.raises(KeyError, match="k") as raised:
            await client.options(group="shop").rfc(id, "fail")
    assert any(id in note for note in raised.value.__notes__)


async def test_client_settles_a_promise(url: str, id: str) -> None:
    """One that a durable function made, and waits for."""
    async with Client(url) as client:
        handle = await client.options(group="shop").rfi(id, "ask")
        with anyio.fail_after(10):
            while True:
                try:
                    await client.promises.resolve(f"{id}:1", {"answer": 42})
                    break
                except PromiseNotFoundError:  # the function has not come so far
                    await anyio.lowlevel.checkpoint()
        assert await handle == {"answer": 42}


async def test_client_hears_of_a_timeout(url: str, id: str) -> None:
    """An invocation that nobody executes ends at its deadline."""
    async with Client(url) as client:
        with pytest.raises(InvocationTimedOut):
            await client.options(group="nobody", timeout=0.2).rfc(id, "f")


async def test_client_that_is_cancelled_closes(url: str, id: str) -> None:
    """A scope around it ends it, whatever it waits for."""
    with anyio.move_on_after(0.2) as scope:
        async with Client(url) as client:
            await client.options(group="nobody").rfc(id, "f")
    assert scope.cancelled_caught


async def test_client_may_be_opened_again_but_not_twice(url: str, id: str) -> None:
    """Outside its block it says where calls belong."""
    client = Client(url)
    for _ in range(2):
        async with client:
            assert await client.options(group="shop").rfc(id, "wrap", "a") == "<a>"
            with pytest.raises(UsageError, match="open already"):
                await client.__aenter__()
    with pytest.raises(UsageError, match="async with Client"):
        await client.rfc(id, "wrap", "a")


# --- Servers that are no good -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"), [(401, AuthenticationError), (403, PermissionDeniedError)], ids=["401", "403"]
)
async def test_client_with_a_wrong_token(status: int, error: type[ResonateError], id: str) -> None:
    """The first call says so, or the connection for messages, whichever comes first."""

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        return refusal(status, body, "expired") if path == "/" else (status, b"expired")

    with answering(answer) as url, pytest.raises(error):
        async with Client(url, token="wrong") as client:
            await client.rfc(id, "f")


async def test_client_sends_its_token(id: str) -> None:
    """In the envelope of a request."""
    bodies: list[bytes] = []

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if path != "/":
            return 503, b""
        bodies.append(body)
        return refusal(400, body, "no")

    with answering(answer) as url:
        async with Client(url, token="secret") as client:
            with pytest.raises(ResonateError, match="status 400: no"):
                await client.rfc(id, "f")
    assert b'"auth":"secret"' in bodies[0].replace(b" ", b"")


async def test_server_that_speaks_something_else(id: str) -> None:
    """A web page is no reply."""
    with answering(lambda path, body: (200, b"<html>")) as url:
        async with Client(url) as client:
            with pytest.raises(ServerError, match="does not speak our protocol"):
                await client.rfc(id, "f")


async def test_server_that_is_not_there(id: str) -> None:
    """After its patience the client says where it looked, and what to check."""
    with answering(lambda path, body: (502, b"<html>")) as url:
        async with Client(url, patience=0.1) as client:
            with pytest.raises(ServerUnreachableError, match="is the server running"):
                await client.rfc(id, "f")  # a proxy in front of nothing
    async with Client(url, patience=0.1) as client:
        with pytest.raises(ServerUnreachableError, match=url):
            await client.rfc(id, "f")


async def test_transport_says_whether_to_try_again(id: str) -> None:
    """What has no answer of the protocol, for a reason that may pass, is unreachable."""
    request = Envelope(Head("c"), PromiseGet("a"))
    with answering(lambda path, body: (502, b"<html>")) as url:
        async with HttpTransport(url) as transport:
            with pytest.raises(Unreachable, match="HTTP status 502"):
                await transport.send(request)
    async with HttpTransport(url) as transport:
        with pytest.raises(Unreachable, match="onnect"):
            await transport.send(request)


async def test_transport_that_is_closed_is_of_no_use() -> None:
    """Using it is a bug."""
    transport = HttpTransport("http://localhost")
    with pytest.raises(RuntimeError, match="closed> is not open"):
        await transport.send(Envelope(Head("c"), PromiseGet("a")))
    with pytest.raises(RuntimeError, match="is not open"):
        transport.source("g", "p")


# --- The application ------------------------------------------------------------------------------------

on_trio = pytest.mark.parametrize("anyio_backend", ["trio"], indirect=True)


@on_trio
async def test_application_works_over_http(url: str, id: str) -> None:
    """Fan-out, chain and steps over a real server; its worker and others share the work."""
    app = Resonate(url, group=id)

    @app.register
    async def flow(ctx: Context) -> list[object]:
        async with ctx.open_nursery() as nursery:
            handles = [nursery.options(group="shop").rfi("wrap", str(n)) for n in range(20)]
        own = await ctx.rfc(double, 21)
        there = await ctx.lfc(threading.get_ident)
        await ctx.sleep(0.05)
        return [len({handle.value for handle in handles}), own, there != threading.get_ident()]

    @app.register
    async def double(n: int) -> int:
        return 2 * n

    async with app:
        assert await app.rfc(id, flow) == [20, 42, True]
        assert await app.lfc(f"{id}-here", flow) == [20, 42, True]


@on_trio
async def test_application_drains_over_http(url: str, id: str) -> None:
    """What is left after the grace is released, and done by another worker."""
    started = trio.Event()

    def application(seconds: float) -> Resonate:
        app = Resonate(url, group=id, worker=WorkerOptions(grace=0))

        @app.register(retry=Never())
        async def f() -> str:
            started.set()
            await trio.sleep(seconds)
            return "done"

        return app

    async with application(60) as app:
        await app.rfi(id, "f")
        await started.wait()
    async with application(0) as app:
        with trio.fail_after(5):
            assert await (await app.get(id)) == "done"


@on_trio
@pytest.mark.parametrize("path_that_answers", ["/", "/poll"])
async def test_application_with_a_wrong_token_ends(id: str, path_that_answers: str) -> None:
    """It must not seem to work."""

    def answer(path: str, body: bytes) -> tuple[int, bytes]:
        if path.startswith("/poll"):
            return (401, b"") if path_that_answers == "/poll" else (503, b"")
        return refusal(401, body, "expired") if path_that_answers == "/" else (503, b"")

    with answering(answer) as url, pytest.raises(AuthenticationError, match="RESONATE_TOKEN"):
        async with Resonate(url, token="wrong", worker=WorkerOptions(grace=0)) as app:
            await app.rfc(id, "f")


@on_trio
async def test_application_closes_while_its_server_is_away(id: str, server_extensions: Extensions) -> None:
    """Draining is bounded, whoever does not answer."""
    started = trio.Event()
    with ExitStack() as server, trio.fail_after(15):
        app = Resonate(server.enter_context(serving(server_extensions)), worker=WorkerOptions(grace=0))

        @app.register
        async def f() -> None:
            started.set()
            await trio.sleep_forever()

        async with app:
            await app.rfi(id, f)
            await started.wait()
            await trio.to_thread.run_sync(server.close)


@on_trio
@pytest.mark.parametrize(
    ("capacity", "asked"), [(7, "capacity=7&ttl=3000"), (10**20, "capacity=1000000000&ttl=3000")]
)
async def test_worker_asks_for_tasks_and_a_client_does_not(capacity: int, asked: str) -> None:
    """A client would not know what to do with one. A capacity that no server takes is a large one."""
    polls: dict[str, threading.Event] = {"": threading.Event(), asked: threading.Event()}

    def answer(path: str, _: bytes) -> tuple[int, bytes]:
        polls[path.partition("?")[2]].set()
        return 503, b""

    with answering(answer) as url:
        async with Client(url), Resonate(url, worker=WorkerOptions(capacity=capacity, lease=3)):
            for polled in polls.values():
                assert await trio.to_thread.run_sync(polled.wait, 10)
