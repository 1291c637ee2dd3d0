"""Failures that cross processes: classes, causes, notes and groups, at first and when a flow is replayed."""

from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from resonate_trio import Context, Never, RemoteError, Resonate

from .kit import World, in_virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = in_virtual_time


@attrs.define
class DeclinedError(Exception):
    """A card was declined."""

    code: int
    wait: float | None = None


class ForeignError(Exception):
    """What nobody has registered."""


def register_bank(bank: Resonate) -> None:
    """Register a service whose functions fail."""

    @bank.register(retry=Never())
    async def charge(code: int) -> None:
        error = DeclinedError(code, wait=1.5)
        error.add_note("try another card")
        raise error from KeyError("funds")

    @bank.register(retry=Never())
    async def audit() -> None:
        raise ForeignError("no books")

    @bank.register(retry=Never())
    async def everything() -> None:
        inner = ExceptionGroup("cards", [DeclinedError(51), DeclinedError(54)])
        raise ExceptionGroup("bank", [inner, ForeignError("no books"), KeyError("funds")])


def apart(group: ExceptionGroup) -> dict[str, list[str]]:
    """Take a group apart by `except*`, and return what each branch got."""
    got: dict[str, list[str]] = {}
    try:
        try:
            raise group
        except* DeclinedError as declined:
            inner = declined.exceptions[0]
            assert isinstance(inner, ExceptionGroup)
            got["declined"] = [str(error.code) for error in inner.exceptions if isinstance(error, DeclinedError)]
        except* RemoteError as remote:
            got["remote"] = [str(error) for error in remote.exceptions]
    except* KeyError as rest:
        got["rest"] = [str(error) for error in rest.exceptions]
    return got


async def test_except_star_works_across_processes(world: World) -> None:
    """Groups in groups, of registered classes, unknown ones and Python's own."""
    foo, bank = world.resonate("foo"), world.resonate("bank")
    register_bank(bank)
    for app in (foo, bank):
        app.register_error(DeclinedError)

    @foo.register
    async def flow(ctx: Context) -> dict[str, list[str]]:
        try:
            await ctx.options(group="bank").rfc("everything")
        except ExceptionGroup as group:
            return apart(group)
        return {}

    async with foo, bank:
        assert await foo.rfc("a", flow) == {
            "declined": ["51", "54"],
            "remote": ["ForeignError: no books"],
            "rest": ["'funds'"],
        }


@pytest.mark.parametrize("group", ["foo", "bank"])
async def test_a_failure_reads_the_same_in_a_replay(world: World, group: str) -> None:
    """Class, fields, notes and cause, of a call elsewhere and of a nursery's child here or there."""
    foo, bank = world.resonate("foo", max_parked=0), world.resonate("bank", pid="w1")
    seen: list[list[object]] = []
    register_bank(bank)
    register_bank(foo)
    for app in (foo, bank):
        app.register_error(DeclinedError)

    def look(error: BaseException) -> object:
        cause = error.__cause__ and repr(error.__cause__)
        members = [look(member) for member in getattr(error, "exceptions", ())]
        return repr(error), getattr(error, "__notes__", []), cause, members

    @foo.register
    async def flow(ctx: Context) -> None:
        this_run: list[object] = []
        seen.append(this_run)
        elsewhere = ctx.options(group=group)
        for name, args in (("charge", [51]), ("audit", [])):
            try:
                await elsewhere.rfc(name, *args)
            except (DeclinedError, RemoteError) as error:
                this_run.append(look(error))
            await ctx.sleep(1)
        try:
            async with ctx.open_nursery() as nursery:
                nursery.options(group=group).rfi("everything")
        except* DeclinedError as failures:
            this_run.append(look(failures.exceptions[0]))
        except* Exception as failures:
            this_run.append(look(failures.exceptions[0]))
        await ctx.sleep(1)

    async with foo, bank:
        await foo.rfc("a", flow)
    assert len(seen) > 3
    assert len(seen[-1]) == 4
    for run in seen:
        assert run == seen[-1][: len(run)]


async def test_cause_and_notes_come_through_a_chain_of_workers(world: World) -> None:
    """The outermost caller reads what was raised, by whom, and who has passed it on."""
    foo, bar = world.resonate("foo", pid="f1"), world.resonate("bar", pid="b1")
    bank = world.resonate("bank", pid="w1")
    heard: list[str] = []
    register_bank(bank)
    for app in (foo, bank):  # bar does not know the class
        app.register_error(DeclinedError)

    @bar.register(name="bar")
    async def pass_on(ctx: Context) -> None:
        try:
            await ctx.options(group="bank").rfc("charge", 51)
        except RemoteError as error:
            heard.append(error.type_name)
            raise

    async with foo, bar, bank:
        with pytest.raises(DeclinedError) as caught:
            await foo.rfc("a", "bar")
    error = caught.value
    assert heard == ["DeclinedError"]
    assert (error.code, error.wait) == (51, 1.5)
    assert isinstance(error.__cause__, KeyError)
    note, way = error.__notes__
    assert note == "try another card"
    assert [line for line in way.splitlines() if line[0] != " "] == [
        "Passed on by the invocation 'a' in the worker bar/b1:",
        "Raised by the invocation 'a:1' in the worker bank/w1:",
    ]
    assert "resonate_trio/" not in way


async def test_a_remote_error_names_class_promise_and_worker(world: World) -> None:
    """What an application needs to find the place."""
    bank = world.resonate("bank", pid="w1")
    register_bank(bank)
    async with bank:
        with pytest.raises(RemoteError, match="ForeignError: no books") as caught:
            await bank.rfc("a", "audit")
    error = caught.value
    assert (error.id, error.type_name, error.worker) == ("a", "ForeignError", "bank/w1")
    assert "ForeignError: no books" in str(error.remote_traceback)


@pytest.mark.parametrize("call", ["lfc", "rfc"])
async def test_a_timeout_of_trio_is_one_for_the_caller(world: World, call: str) -> None:
    """`except trio.TooSlowError` catches what `trio.fail_after` has raised in a step."""
    app = world.resonate()

    @app.register(retry=Never())
    async def slow() -> None:
        with trio.fail_after(1):
            await trio.sleep(2)

    @app.register
    async def flow(ctx: Context) -> str:
        calls: dict[str, Callable[..., object]] = {"lfc": ctx.lfc, "rfc": ctx.rfc}
        try:
            await calls[call](slow)  # type: ignore[misc]
        except trio.TooSlowError:
            return "too slow"
        return "?"

    async with app:
        assert await app.rfc("a", flow) == "too slow"


async def test_a_promise_is_rejected_with_a_registered_class(world: World) -> None:
    """Whoever settles a promise from outside may say more than a message."""
    app = world.resonate()
    app.register_error(DeclinedError)

    @app.register
    async def flow(ctx: Context) -> int:
        try:
            await (await ctx.promise())
        except DeclinedError as error:
            return error.code
        return 0

    async with app:
        handle = await app.rfi("a", flow)
        await trio.sleep(1)
        await app.promises.reject("a:1", DeclinedError(7))
        assert await handle == 7
