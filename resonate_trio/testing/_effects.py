"""What a flow does to the world outside: counted, so that doing it twice is noticed."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, Protocol, final

import trio
from attrs import Factory, define, frozen


class Host(Protocol):
    """A process, as far as what it does may count."""

    @property
    def is_dead(self) -> bool:
        """Whether it has crashed."""


# Set in the task that a worker's tasks descend from. Trio hands it on to threads.
_host: Final[ContextVar[Host]] = ContextVar("host")


@contextmanager
def hosted(host: Host) -> Generator[None]:
    """Say which process everything within the block belongs to."""
    token = _host.set(host)
    try:
        yield
    finally:
        _host.reset(token)


@final
@frozen
class Effect:
    """Something that was done to the world outside.

    Attributes:
        name: what was done.
        details: with what.
        key: the idempotency key that the outside got with it, None for none.
    """

    name: str
    details: tuple[object, ...] = ()
    key: str | None = None

    def __str__(self) -> str:
        details = ", ".join(repr(detail) for detail in self.details)
        return f"{self.name}({details})" + (f" with the key {self.key!r}" if self.key is not None else "")


@final
@define(eq=False, repr=False)
class Effects:
    """Keeps what fakes were asked to do: a fake payment service calls `effects.add("charged", order_id, key=key)`.

    What the frames of a crashed process do while they unwind does not count: in a real crash they would not.
    """

    _effects: list[Effect] = Factory(list)

    def __repr__(self) -> str:
        return f"<Effects: {', '.join(map(str, self._effects)) or 'none'}>"

    def __iter__(self) -> Iterator[Effect]:
        return iter(self._effects)

    def __len__(self) -> int:
        return len(self._effects)

    def add(self, name: str, *details: object, key: str | None = None) -> None:
        """Note that something was done.

        Args:
            name: what was done.
            *details: with what.
            key: the idempotency key that a real service would get with it, and by which it would do nothing the
                second time.
        """
        host = _current_host()
        if host is None or not host.is_dead:
            self._effects.append(Effect(name, details, key))

    def count(self, name: str) -> int:
        """Return how often something was done; what had the same key was done once."""
        named = [effect for effect in self._effects if effect.name == name]
        return sum(effect.key is None for effect in named) + len({effect.key for effect in named} - {None})

    def clear(self) -> None:
        """Forget all."""
        self._effects.clear()


def differences(expected: Sequence[Effect], found: Sequence[Effect], at_least_once: Sequence[str]) -> list[str]:
    """Return how the effects of a disturbed run differ from those of the undisturbed one, in sentences."""
    names = dict.fromkeys(effect.name for effect in (*expected, *found))
    lines: list[str] = []
    for name in names:
        before = [effect for effect in expected if effect.name == name]
        after = [effect for effect in found if effect.name == name]
        lines += _conflicts(name, after)
        lines += _counts(before, after, name in at_least_once)
    return lines


def _conflicts(name: str, effects: Sequence[Effect]) -> Iterator[str]:
    by_key: dict[str, Effect] = {}
    for effect in effects:
        if effect.key is None:
            continue
        first = by_key.setdefault(effect.key, effect)
        if repr(first.details) != repr(effect.details):
            yield f"{first}, then {effect}: one key, but not the same request. The second one was ignored"


def _counts(before: Sequence[Effect], after: Sequence[Effect], repeats_are_fine: bool) -> Iterator[str]:
    expected, found = _tally(before), _tally(after)
    for effect in dict.fromkeys([*expected, *found]):
        wanted, got = expected.get(effect, 0), found.get(effect, 0)
        if got == wanted or (repeats_are_fine and got > wanted > 0):
            continue
        yield f"{effect} happened {_times(got)}, undisturbed {_times(wanted)}" + _hint(got, wanted)


def _tally(effects: Sequence[Effect]) -> dict[str, int]:
    """Count effects; the outside does nothing the second time that it gets a key."""
    tally: dict[str, int] = {}
    for effect in effects:
        text = str(effect)
        tally[text] = 1 if effect.key is not None else tally.get(text, 0) + 1
    return tally


def _times(count: int) -> str:
    return {0: "never", 1: "once", 2: "twice"}.get(count, f"{count} times")


def _hint(got: int, wanted: int) -> str:
    if not wanted:
        return ". Does it depend on something that a replay does not repeat: a random id, the time, a global?"
    if got < wanted:
        return ""
    return (
        ". In a step (ctx.lfc) it happens again if its worker crashes before the result is stored: give what you "
        "call an idempotency key, and note it by effects.add(..., key=...), or accept it by at_least_once=[...]. "
        "Outside of a step it happens again in every replay: make it a step"
    )


def _current_host() -> Host | None:
    try:
        task: trio.lowlevel.Task | None = trio.lowlevel.current_task()
    except RuntimeError:  # in a thread
        return _host.get(None)
    # A task has the context of whoever started it, which may be a test; its parents tell where it runs.
    while task is not None:
        host = task.context.get(_host)
        if host is not None:
            return host
        task = None if task.parent_nursery is None else task.parent_nursery.parent_task
    return None
