"""`resonate-trio get`: look at an invocation."""

import json
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from ._asking import known, open_link, run, server_options

if TYPE_CHECKING:
    from resonate_trio.protocol import Promise, Task

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
NO_DEADLINE_MS: Final = 2**48
"""What lies beyond (in the year 10889) is meant as for ever."""


@click.command()
@click.argument("id")
@server_options
def get(*, id: str, url: str | None, token: str | None) -> None:
    """Show the invocation ID, or any promise: its state, what it does, how it ended, and who is at it."""
    promise, task = run(partial(_read, id, known(url), token))
    click.echo(f"{promise.id}: {promise.state}")
    for name, text in _facts(promise, task):
        first, *others = text.splitlines() or [""]
        click.echo(f"  {name:<10}{first}")
        for line in others:
            click.echo(f"  {'':<10}{line}")


async def _read(id: str, url: str, token: str | None) -> "tuple[Promise, Task | None]":
    from resonate_trio._transport import accepted, promise_of
    from resonate_trio.protocol import PromiseGet, TaskGet, TaskReply, origin_of, tags

    async with open_link(url, token) as link:
        promise = promise_of(await link.ask(PromiseGet(id), origin=origin_of(id)), id)
        if not tags.has_task(promise.tags):
            return promise, None
        return promise, accepted(await link.ask(TaskGet(id), origin=origin_of(id)), TaskReply).task


def _facts(promise: "Promise", task: "Task | None") -> "Iterator[tuple[str, str]]":
    from resonate_trio.protocol import tags

    if promise.param.data:
        yield "call", _call(promise)
    if tags.TARGET in promise.tags:
        yield "target", promise.tags[tags.TARGET]
    parent = promise.tags.get(tags.PARENT, promise.id)
    if parent != promise.id:
        yield "called by", parent
    yield "created", _instant(promise.created_at)
    if promise.timeout_at < NO_DEADLINE_MS:
        yield "deadline", _instant(promise.timeout_at)
    if promise.settled_at is not None:
        yield "ended", _instant(promise.settled_at)
        yield from _ending(promise)
    if task is not None:
        holder = f" by {task.pid}" if task.pid else ""
        yield "task", f"{task.state}{holder}, version {task.version}"


def _call(promise: "Promise") -> str:
    from resonate_trio._codec import Codec
    from resonate_trio._errors import DecodingError

    try:
        call = Codec().decode_call(promise.param)
    except DecodingError:
        return "not readable"
    arguments = [_json(value) for value in call.args]
    arguments += [f"{name}={_json(value)}" for name, value in call.kwargs.items()]
    return f"{call.func}({', '.join(arguments)}), version {call.version or 'newest'}"


def _ending(promise: "Promise") -> Iterator[tuple[str, str]]:
    from resonate_trio._codec import Codec
    from resonate_trio._outcome import outcome_of

    outcome = outcome_of(promise, object, Codec())
    if outcome.error is None:
        yield "result", _json(outcome.value)
    else:
        yield "error", "".join(traceback.format_exception_only(outcome.error)).removeprefix("resonate_trio.")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _instant(ms: int) -> str:
    return f"{EPOCH + timedelta(milliseconds=ms):%Y-%m-%d %H:%M:%S} UTC" if ms < NO_DEADLINE_MS else "never"
