"""Which version of a piece of code an execution runs: decided where it comes to the place first, and stored."""

import re

from resonate_trio._codec import Call
from resonate_trio._errors import DivergenceError, UsageError
from resonate_trio.protocol import PromiseState, tags

from ._frame import Frame

NAME = re.compile(r"[A-Za-z0-9_-]+")


async def choose_version(frame: Frame, change: str, minimum: int, maximum: int) -> int:
    """Return the version that is stored for this change, or decide and store it."""
    if not NAME.fullmatch(change):
        raise UsageError(f"ctx.version({change!r}, ...): a change is named by letters, digits, '-' and '_'")
    if not (type(minimum) is type(maximum) is int and minimum <= maximum):
        raise UsageError(f"ctx.version({change!r}, {minimum!r}, {maximum!r}): two integers, the smaller first")
    lineage = frame.named_child(f"version-{change}")
    codec, ledger = frame.runtime.codec, frame.execution.ledger
    param = codec.encode_call(Call("ctx.version"))
    request = frame.create(lineage, frame.run.timeout_at, {tags.SCOPE: tags.LOCAL}, param)
    frame.check_plain_scopes()
    with frame.writing():
        if ledger.claim(request):
            await ledger.create(request)
        if not ledger.is_known(request.id):
            version = minimum if await frame.has_gone_on() else maximum
            await ledger.settle(request.id, PromiseState.RESOLVED, codec.encode(version))
    await frame.checkpoint()
    stored = ledger.outcome(request.id, int).unwrap()
    if not (isinstance(stored, int) and minimum <= stored <= maximum):
        asked = f"a version from {minimum} to {maximum} of {change!r}"
        raise frame.execution.life.diverge(DivergenceError(request.id, asked=asked, stored=f"version {stored}"))
    return stored
