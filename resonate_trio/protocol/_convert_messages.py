"""Messages as they travel."""

import attrs
import orjson
from cattrs import BaseValidationError

from ._convert import converter, describe, named
from ._errors import ProtocolError
from ._messages import Cancel, Execute, Message, Unblock
from ._replies import Acquired


def message_to_wire(message: Message) -> dict[str, object]:
    """Write a message, as JSON decoded."""
    if isinstance(message, Unblock):
        return {"kind": message.kind, "head": {}, "data": {"promise": converter.unstructure(message.promise)}}
    head: dict[str, object] = {"serverUrl": message.server_url} if isinstance(message, Execute) else {}
    if isinstance(message, Execute) and message.acquired is not None:
        return {"kind": message.kind, "head": head, "data": converter.unstructure(message.acquired)}
    task: dict[str, object] = {"id": message.id, "version": message.version}
    if message.cancelled_at is not None:
        task["cancelledAt"] = message.cancelled_at
    return {"kind": message.kind, "head": head, "data": {"task": task}}


def decode_message(body: str | bytes) -> Message:
    """Read a message.

    Raises:
        ProtocolError: it is no message that we know.
    """
    try:
        wire = orjson.loads(body)
        data = wire["data"]
        if wire["kind"] == Execute.kind:
            execute = converter.structure({**data["task"], **wire["head"]}, Execute)
            if "promise" not in data:
                return execute
            return attrs.evolve(execute, acquired=converter.structure(data, Acquired))
        if wire["kind"] == Cancel.kind:
            return converter.structure(data["task"], Cancel)
        if wire["kind"] == Unblock.kind:
            return converter.structure(data, Unblock)
    except orjson.JSONDecodeError as error:
        raise ProtocolError(f"the message is no JSON: {error}") from None
    except (KeyError, TypeError, AttributeError, BaseValidationError) as error:
        raise ProtocolError(f"the message is malformed: {describe(error, '')}") from error
    raise ProtocolError(f"the message is of the unknown kind {named(wire['kind'])}")
