"""Limits: how much one request may ask for, and how much all of them together."""

import pytest

from resonate_trio.protocol import (
    Envelope,
    Head,
    PromiseCreate,
    PromiseGet,
    PromiseRegisterCallback,
    PromiseSearch,
    Request,
    ScheduleCreate,
    ScheduleSearch,
    TaskCreate,
    TaskFence,
    TaskHeartbeat,
    TaskRef,
    TaskSuspend,
)
from server_ref.limits import Limits, Load
from server_ref.refusal import Refusal

LONG = "x" * 11
TWO = {"a": "1", "b": "2"}


def refusal(limits: Limits, request: Request) -> str:
    """Check that a request is refused with 400, and return why."""
    with pytest.raises(Refusal) as caught:
        limits.check(request)
    assert caught.value.status == 400
    return caught.value.message


def inner(id: str = "x", **tags: str) -> Envelope[PromiseCreate]:
    """Return a request to be part of another one."""
    return Envelope(Head("c"), PromiseCreate(id, 1, tags))


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        (PromiseGet(LONG), "data.id"),
        (PromiseRegisterCallback("x", LONG), "data.awaiter"),
        (TaskCreate("w", 1, inner(LONG)), "data.action.data.id"),
        (TaskHeartbeat("w", [TaskRef("x", 1), TaskRef(LONG, 1)]), "data.tasks[1].id"),
        (
            TaskSuspend("x", 1, [Envelope(Head("c"), PromiseRegisterCallback(LONG, "x"))]),
            "data.actions[0].data.awaited",
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_id_that_is_too_long_is_refused_wherever_it_is(request_: Request, where: str) -> None:
    """The message says where it is; one character less is accepted."""
    assert refusal(Limits(id_length=10), request_).startswith(f"{where}: is longer than 10")
    Limits(id_length=11).check(request_)


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        (PromiseCreate("x", 1, TWO), "data.tags"),
        (PromiseSearch(tags=TWO), "data.tags"),
        (ScheduleSearch(tags=TWO), "data.tags"),
        (ScheduleCreate("x", "* * * * *", "x", 1, TWO), "data.promiseTags"),
        (TaskCreate("w", 1, inner(**TWO)), "data.action.data.tags"),
        (TaskFence("x", 1, inner(**TWO)), "data.action.data.tags"),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_too_many_tags_are_refused_wherever_they_are(request_: Request, where: str) -> None:
    """The message says where they are; as many as are allowed are accepted."""
    assert refusal(Limits(tags=1), request_).startswith(f"{where}: 2 tags")
    Limits(tags=2).check(request_)


def test_limits_are_sane_by_default() -> None:
    """They are those that the documentation names."""
    limits = Limits()
    assert (limits.body_bytes, limits.id_length, limits.tags, limits.polls) == (8 * 2**20, 1024, 64, 10_000)


@pytest.mark.parametrize(
    "options", [{"body_bytes": 0}, {"receive_timeout": 0.0}, {"id_length": 1025}, {"tags": -1}], ids=str
)
def test_limit_that_cannot_be_is_an_error(options: dict[str, int]) -> None:
    """Nothing at all, or more than the protocol allows."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Limits(**options)


def test_load_is_given_back() -> None:
    """Whatever ends a request, what it held is free again."""
    load = Load(Limits(requests=1, request_bytes=10, polls=1))

    def fail() -> None:
        with load.request() as grow, load.poll():
            grow(10)
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fail()
    assert (load.requests, load.request_bytes, load.polls) == (0, 0, 0)


def test_load_has_room_for_so_much() -> None:
    """One more request, byte or poll is refused with 503, and with when to try again."""
    load = Load(Limits(requests=2, request_bytes=10, polls=1))
    with load.request() as grow, load.poll(), load.request() as other:
        grow(6)
        other(4)
        for refused in (load.request().__enter__, load.poll().__enter__, lambda: grow(1)):
            with pytest.raises(Refusal) as caught:
                refused()
            assert caught.value.status == 503
            assert caught.value.headers["retry-after"] == "1"


def test_body_beyond_its_limit_is_a_413() -> None:
    """Counted as it arrives."""
    with Load(Limits(body_bytes=10)).request() as grow:
        grow(10)
        with pytest.raises(Refusal) as caught:
            grow(1)
    assert caught.value.status == 413
