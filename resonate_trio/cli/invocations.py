"""`resonate-trio cancel` and `resonate-trio continue`: what an operator does to an invocation."""

from functools import partial
from typing import TYPE_CHECKING

import click

from ._asking import PATIENCE, Failure, known, open_link, run, server_options

if TYPE_CHECKING:
    from resonate_trio.protocol import Promise


@click.command()
@click.argument("id")
@click.option(
    "--budget",
    metavar="S",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds that cleaning up may take; then the server ends the invocation, and all it has called.",
)
@click.option("--reason", metavar="TEXT", help="Why: shown where the invocation is awaited.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Wait until the invocation has ended.")
@server_options
def cancel(*, id: str, budget: float, reason: str | None, wait: bool, url: str | None, token: str | None) -> None:
    """Cancel the invocation ID and all that it has called.

    The status is 0 if it was cancelled, or with --no-wait will be, and 1 if it had ended otherwise.
    """
    act = _cancel if wait else _ask_to_cancel
    promise = run(partial(act, id, budget, reason, known(url), token))
    if promise.is_pending:
        click.echo(f"{id} is asked to end within {budget:g} s")
    elif promise.state == "rejected_canceled":
        click.echo(f"{id} is cancelled")
    else:
        raise Failure(f"{id} was not cancelled: it had ended before, as {promise.state}")


async def _cancel(id: str, budget: float, reason: str | None, url: str, token: str | None) -> "Promise":
    from resonate_trio import Client

    async with Client(url, token=token, patience=PATIENCE) as client:
        await client.cancel(id, budget=budget, reason=reason)
        return await client.promises.get(id)


async def _ask_to_cancel(id: str, budget: float, reason: str | None, url: str, token: str | None) -> "Promise":
    from resonate_trio._cancelling import cancel as ask_to_cancel, check_budget
    from resonate_trio._codec import Codec
    from resonate_trio._outcome import CLIENT, Cancellation

    value = Cancellation(CLIENT, reason).encode(Codec())
    async with open_link(url, token) as link:
        return await ask_to_cancel(link, id, value=value, budget_ms=check_budget(budget))


@click.command("continue")
@click.argument("id")
@server_options
def continue_(*, id: str, url: str | None, token: str | None) -> None:
    """Let the invocation ID, which was halted, go on.

    An invocation is halted when the code has changed so that it cannot be executed any further. Once workers with
    code that can are running, this has them try again.
    """
    run(partial(_continue, id, known(url), token))
    click.echo(f"{id} goes on")


async def _continue(id: str, url: str, token: str | None) -> None:
    from resonate_trio._transport import accepted
    from resonate_trio.protocol import Empty, TaskContinue, TaskGet, TaskReply, origin_of

    async with open_link(url, token) as link:
        reply = await link.ask(TaskContinue(id), origin=origin_of(id))
        if reply.status == 404:
            raise Failure(f"there is no task {id!r}: check the id, and that this is the server it was created on")
        if reply.status == 409:
            task = accepted(await link.ask(TaskGet(id), origin=origin_of(id)), TaskReply).task
            raise Failure(f"{id} is not halted: its task is {task.state}")
        accepted(reply, Empty)
