"""The example of the design, as it stands, on every server that fits into a process."""

from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
import trio
from attrs import frozen

from resonate_trio import Context, PromiseNotFoundError, Resonate, UsageError
from server_ref.clock import SystemClock
from server_ref.engine import open_engine
from server_ref.store import MemoryStore, StoreError

pytestmark = pytest.mark.trio


@frozen
class Order:
    """What is ordered."""

    items: list[str]


@frozen
class Receipt:
    """What comes back."""

    stock: int
    total: Decimal


def register_example(resonate: Resonate, notified: list[Order]) -> None:
    """Register the functions of the design's example."""

    @resonate.register
    async def reserve(order: Order) -> int:
        return len(order.items)

    @resonate.register
    def quote(order: Order) -> Decimal:
        return Decimal("9.99") * len(order.items)

    @resonate.register
    async def charge(order: Order, price: Decimal) -> Decimal:
        return price + 1

    @resonate.register
    async def notify(order: Order) -> None:
        notified.append(order)

    @resonate.register
    async def foo(ctx: Context, order: Order) -> Receipt:
        async with ctx.open_nursery() as nursery:
            stock = nursery.rfi("reserve", order)
            price = nursery.rfi("quote", order)
        total = await ctx.rfc("charge", order, price.value)
        ctx.detached("notify", order)
        return Receipt(stock.value, total)


async def run_example(resonate: Resonate) -> None:
    """Run it, twice under one id, and wait for what it detached."""
    notified: list[Order] = []
    register_example(resonate, notified)
    order = Order(["a", "b"])
    async with resonate:
        for _ in range(2):
            assert await resonate.rfc("order-17", "foo", order) == Receipt(2, Decimal("20.98"))
        await (await resonate.get("order-17:4"))
    assert notified == [order]


async def test_example_runs_in_memory() -> None:
    """`Resonate()` embeds a server that forgets."""
    await run_example(Resonate())


async def test_example_runs_on_disk(tmp_path: Path) -> None:
    """`Resonate(path=...)` embeds a server on a file."""
    await run_example(Resonate(path=tmp_path / "app.db"))


async def test_example_runs_on_an_engine() -> None:
    """`Resonate(engine=...)` works on an engine that is open already."""
    async with open_engine(MemoryStore(), clock=SystemClock()) as engine:
        await run_example(Resonate(engine=engine))


async def test_file_remembers_what_was_done(tmp_path: Path) -> None:
    """What ended before the process did is found again by the next one, and not run again."""
    runs = []

    def application() -> Resonate:
        resonate = Resonate(path=tmp_path / "app.db")

        @resonate.register
        async def step() -> int:
            runs.append("step")
            return 1

        return resonate

    for _ in range(2):
        async with application() as resonate:
            assert await resonate.rfc("a", "step") == 1
    assert runs == ["step"]


async def test_flow_on_disk_goes_on_in_the_next_process(tmp_path: Path) -> None:
    """What waits when the application is closed goes on when it is opened again; finished steps stay finished."""
    runs = []

    def application() -> Resonate:
        resonate = Resonate(path=tmp_path / "app.db")

        @resonate.register
        async def flow(ctx: Context) -> list[int]:
            first = await ctx.lfc(step, 1)
            answer = await ctx.promise(int)
            return [first, await answer, await ctx.lfc(step, 3)]

        async def step(n: int) -> int:
            runs.append(n)
            return n

        return resonate

    async with application() as resonate:
        await resonate.rfi("a", "flow")
        with trio.fail_after(10):
            while not runs:
                await trio.lowlevel.checkpoint()
    async with application() as resonate:
        with trio.fail_after(10):
            await created(resonate, "a:2")  # the first process may have been closed before it was
            await resonate.promises.resolve("a:2", 2)
            assert await (await resonate.get("a")) == [1, 2, 3]
    assert runs == [1, 3]


async def test_cancelled_application_stores_what_ends_within_the_grace(tmp_path: Path) -> None:
    """The embedded server is not cancelled with the block: it is there until the worker is drained."""
    resonate = Resonate(path=tmp_path / "app.db")
    started = trio.Event()
    scope = trio.CancelScope()

    @resonate.register
    async def last_words(ctx: Context) -> int:
        started.set()
        while not scope.cancel_called:
            await trio.lowlevel.checkpoint()
        return await ctx.lfc(answer)

    async def answer() -> int:
        return 42

    with scope:
        async with resonate:
            await resonate.rfi("a", last_words)
            await started.wait()
            scope.cancel()
            await trio.sleep_forever()
    async with resonate:
        assert (await resonate.promises.get("a")).state == "resolved"


async def created(resonate: Resonate, id: str) -> None:
    """Wait until a promise exists."""
    while True:
        with suppress(PromiseNotFoundError):
            await resonate.promises.get(id)
            return


async def test_resonate_is_opened_once_at_a_time() -> None:
    """Opening it again while it is open is refused; afterwards it may be opened again."""
    resonate = Resonate()
    async with resonate:
        with pytest.raises(UsageError, match="open already"):
            async with resonate:
                pass
    async with resonate:
        assert "open" in repr(resonate)


async def test_resonate_that_is_closed_says_so() -> None:
    """Calls outside the block say where they belong."""
    resonate = Resonate()

    @resonate.register
    async def f() -> None: ...

    for call in (resonate.rfc, resonate.lfc):
        with pytest.raises(UsageError, match="async with resonate"):
            await call("a", f)


async def test_resonate_that_could_not_be_opened_may_be_tried_again(tmp_path: Path) -> None:
    """A file that is no database is refused; once it is out of the way, all is well."""
    file = tmp_path / "app.db"
    file.write_text("this is no database, but long enough to be taken for one" * 20)
    resonate = Resonate(path=file)
    with pytest.raises(StoreError):
        await resonate.__aenter__()
    file.unlink()
    async with resonate:
        assert "open" in repr(resonate)
