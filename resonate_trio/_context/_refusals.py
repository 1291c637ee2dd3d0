"""Durable calls that a replay could not repeat: what is said of them, with the right call."""

from resonate_trio._errors import UsageError


def from_thread(call: str, id: str) -> UsageError:
    """Return the error of a call from a thread."""
    return UsageError(
        f"{call} in {id!r} is called from a thread. A function that makes durable calls is "
        f"an async one: write it as `async def`, and call blocking code by `await ctx.lfc(fn, ...)`"
    )


def from_another_task(call: str, id: str) -> UsageError:
    """Return the error of a call from another task than the function's own."""
    return UsageError(
        f"{call} in {id!r} is called from another task than the function's own. Tasks of a "
        f"plain trio nursery run in an order that a replay cannot repeat: for concurrency in a durable "
        f"function use `async with ctx.open_nursery() as nursery: nursery.lfi(fn, ...)`"
    )


def in_plain_scope(id: str) -> UsageError:
    """Return the error of a wait that a plain trio scope cuts, or may cut."""
    return UsageError(
        f"a durable wait in {id!r} stands in a plain trio scope that has a deadline or is "
        f"cancelled (trio.move_on_after, trio.fail_after, trio.CancelScope, a trio nursery). What cuts a wait "
        f"must be stored, or a replay could not repeat it: use `with ctx.move_on_after(s):`, "
        f"`with ctx.fail_after(s):`, `ctx.open_nursery(timeout=s)` or `ctx.options(timeout=s)`"
    )
