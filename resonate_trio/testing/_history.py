"""Recorded executions: what a server stored of one, as a file that people can read."""

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Final, Self, final

import orjson
from attrs import frozen

from resonate_trio import PromiseNotFoundError, UsageError
from resonate_trio._transport import HttpTransport, Link, accepted
from resonate_trio.protocol import Promise, PromisePage, PromiseSearch, converter, origin_of, tags

FORMAT: Final = 1
PAGE: Final = 1000


@final
@frozen(repr=False)
class History:
    """What is stored of one execution: the promises of a root invocation and of all that it has invoked.

    Attributes:
        id: the root invocation.
        promises: all of them, by id.
    """

    id: str
    promises: Mapping[str, Promise]

    def __repr__(self) -> str:
        return f"<History of {self.id!r}: {len(self.promises)} promises, {self.root.state}>"

    @property
    def root(self) -> Promise:
        """The promise of the root invocation."""
        return self.promises[self.id]

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to a file: JSON, payloads included. Look through it before it is shared. Raises OSError."""
        promises = [_readable(promise) for _, promise in sorted(self.promises.items())]
        data = {"format": FORMAT, "id": self.id, "promises": promises}
        Path(path).write_bytes(orjson.dumps(data, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read what `save` wrote.

        Raises:
            OSError: the file cannot be read.
            UsageError: it is no history.
        """
        try:
            data = orjson.loads(Path(path).read_bytes())
            if data["format"] != FORMAT:
                raise UsageError(f"{path} is a history of format {data['format']}; this version reads {FORMAT}")
            promises = [_promise(item) for item in data["promises"]]
            return cls(data["id"], _by_id(data["id"], promises))
        except (ValueError, KeyError, TypeError, PromiseNotFoundError) as error:
            raise UsageError(f"{path} is no history: {error!r}") from error


def history_of(id: str, promises: Iterable[Promise]) -> History:
    """Take the history of a root invocation out of the promises of a server. Raises PromiseNotFoundError."""
    return History(id, _by_id(id, (promise for promise in promises if _origin(promise) == id)))


async def record(url: str, id: str, *, token: str | None = None) -> History:
    """Return what a server has stored of the execution of the root invocation `id`, finished or not.

    Args:
        url: the server.
        id: the invocation.
        token: a JWT for a server that asks for one.

    Raises:
        PromiseNotFoundError: there is no such invocation.
        ServerUnreachableError: no server answered.
        AuthenticationError, PermissionDeniedError: the token is missing, wrong, or not enough.
    """
    found: list[Promise] = []
    async with HttpTransport(url.rstrip("/"), token=token) as transport:
        link = Link(transport, token=token)
        cursor = None
        while True:
            request = PromiseSearch(tags={tags.ORIGIN: id}, limit=PAGE, cursor=cursor)
            page = accepted(await link.ask(request, origin=id), PromisePage)
            found += page.promises
            cursor = page.cursor
            if cursor is None:
                return history_of(id, found)


def _origin(promise: Promise) -> str:
    return promise.tags.get(tags.ORIGIN) or origin_of(promise.id)


def _by_id(id: str, promises: Iterable[Promise]) -> dict[str, Promise]:
    by_id = {promise.id: promise for promise in promises}
    if id not in by_id:
        raise PromiseNotFoundError(id)
    return by_id


def _readable(promise: Promise) -> dict[str, Any]:
    data: dict[str, Any] = converter.unstructure(promise)
    for name in ("param", "value"):
        payload = data.get(name, {})
        text = payload.get("data")
        content = _content(text) if text else None
        if content is not None:
            payload["json"] = content
            del payload["data"]
    return data


def _content(text: str) -> object:
    """Return what a payload says, or None if it cannot be written back as it is."""
    try:
        content: object = json.loads(b64decode(text, validate=True))
    except ValueError:
        return None
    return content if _payload(content) == text else None


def _payload(content: object) -> str:
    return b64encode(json.dumps(content, separators=(",", ":")).encode("ascii")).decode("ascii")


def _promise(data: dict[str, Any]) -> Promise:
    for name in ("param", "value"):
        payload = data.get(name, {})
        if "json" in payload:
            payload["data"] = _payload(payload.pop("json"))
    return converter.structure(data, Promise)
