"""Promises that somebody outside settles, with values of their own types."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

import pytest
import trio
from attrs import frozen

from resonate_trio import (
    Context,
    DecodingError,
    InvocationCancelled,
    InvocationTimedOut,
    Resonate,
)

from .kit import World, in_virtual_time

pytestmark = in_virtual_time


@frozen
class Price:
    """An amount."""

    amount: Decimal
    currency: str = "EUR"


@frozen
class Approval:
    """What an approver says."""

    by: str
    limit: Price | None
    at: datetime


@dataclass
class Vote:
    """What a voter says."""

    choices: list[str]
    weight: int = 1


APPROVAL = Approval("Ann", Price(Decimal("9.90")), datetime(2024, 2, 29, 12, tzinfo=UTC))
VOTE = Vote(["yes", "no"], 3)


def register_ask(app: Resonate) -> None:
    """Register a function that waits for an approval."""

    @app.register
    async def ask(ctx: Context) -> str:
        return repr(await (await ctx.promise(Approval)))


@pytest.mark.parametrize(("value", "result_type"), [(APPROVAL, Approval), (VOTE, Vote)])
async def test_value_arrives_in_the_function_as_what_it_was(
    world: World, value: object, result_type: type[object]
) -> None:
    """Attrs classes and dataclasses, and what they are made of."""
    app = world.resonate()
    seen: list[object] = []

    @app.register
    async def ask(ctx: Context) -> None:
        seen.append(await (await ctx.promise(result_type)))

    async with app:
        handle = await app.rfi("a", ask)
        await trio.sleep(1)
        await app.promises.resolve("a:1", value)
        await handle
    assert seen == [value]


@pytest.mark.parametrize(("value", "result_type"), [(APPROVAL, Approval), (VOTE, Vote)])
async def test_value_arrives_outside_as_what_it_was(
    world: World, value: object, result_type: type[object]
) -> None:
    """Whoever knows the id and the type may wait for it."""
    app = world.resonate()
    register_ask(app)
    async with app, trio.open_nursery() as nursery:
        await app.rfi("a", "ask")
        await trio.sleep(1)
        handle = await app.get("a:1", result_type)
        nursery.start_soon(app.promises.resolve, "a:1", value)
        assert await handle == value


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("yes", r"the result of 'a:1'"),
        (None, r"the result of 'a:1'"),
        ({"by": "Ann", "limit": None}, r"the result of 'a:1'.*at"),
        ({"by": "Ann", "limit": {"amount": "much"}, "at": "2024-02-29T12:00:00+00:00"}, r"limit\.amount"),
    ],
)
async def test_value_that_does_not_fit_is_an_error_where_it_is_awaited(
    world: World, value: object, path: str
) -> None:
    """In the function and outside; the message says what is wrong where."""
    app = world.resonate()
    errors: list[DecodingError] = []

    @app.register
    async def ask(ctx: Context) -> None:
        try:
            await (await ctx.promise(Approval))
        except DecodingError as error:
            errors.append(error)

    async with app:
        handle = await app.rfi("a", ask)
        await trio.sleep(1)
        await app.promises.resolve("a:1", value)
        await handle
        with pytest.raises(DecodingError, match=path) as outside:
            await (await app.get("a:1", Approval))
    assert [str(error) for error in errors] == [str(outside.value)]


async def test_error_is_raised_where_the_promise_is_awaited(world: World) -> None:
    """As in the function that somebody outside would be."""
    app = world.resonate()
    register_ask(app)
    async with app:
        handle = await app.rfi("a", "ask")
        await trio.sleep(1)
        await app.promises.reject("a:1", ValueError("nobody is there"))
        with pytest.raises(ValueError, match="nobody is there"):
            await handle


async def test_cancelled_promise_says_why(world: World) -> None:
    """The first to settle it decides."""
    app = world.resonate()
    register_ask(app)
    async with app:
        handle = await app.rfi("a", "ask")
        await trio.sleep(1)
        await app.promises.cancel("a:1", reason="the office is closed")
        await app.promises.resolve("a:1", APPROVAL)
        with pytest.raises(InvocationCancelled, match="the office is closed"):
            await (await app.get("a:1"))
        with pytest.raises(Exception, match="the office is closed"):
            await handle


async def test_promise_that_nobody_settles_in_time_ends(world: World) -> None:
    """At the instant that the function named."""
    app = world.resonate()

    @app.register
    async def ask(ctx: Context) -> None:
        await (await ctx.promise(Approval, expires_after=60))

    async with app:
        handle = await app.rfi("a", ask)
        await trio.sleep(1)
        with pytest.raises(InvocationTimedOut):
            await (await app.get("a:1", Approval))
        assert trio.current_time() == pytest.approx(60)
        with pytest.raises(Exception, match="a:1"):
            await handle
