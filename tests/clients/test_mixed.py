"""Functions on different clients that call each other: arguments, results and errors of every JSON type."""

import json
from collections.abc import Sequence
from typing import Any, Final

import pytest

from resonate_trio import Client
from tests.e2e.kit import invoke_gate

from .kit import OURS, Language, Stage

pytestmark = [pytest.mark.trio, pytest.mark.slow]

SAFE_INTEGER: Final = 2**53 - 1  # JavaScript has no greater ones, and takes 1.0 for 1

VALUES: Final[Sequence[object]] = [
    None,
    True,
    False,
    0,
    -1,
    SAFE_INTEGER,
    -SAFE_INTEGER,
    0.5,
    -2.5e-7,
    1.7976931348623157e308,
    "",
    "text",
    'Grüße, 世界! \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f389 "\\/\b\f\n\r\t\0\x7f\u2028',
    [],
    {},
    [[], [[]], {}, [None, True, 1, 0.5, "x"]],
    {"": None, "a b": {"ключ \U0001f511": [{}, {"deep": [[[{"deeper": False}]]]}]}},
]
"""Every type of JSON, empty and nested."""


def same(left: object, right: object) -> bool:
    """Tell whether two values are the same JSON, by type too: Python takes True for 1."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


async def gathered(
    stage: Stage, caller: Language, callees: Sequence[Language], func: str, values: Sequence[object] = VALUES
) -> list[Any]:
    """Have a function on one client invoke `func` on others, with each value; return the outcomes by value."""
    for language in (caller, *callees):
        await stage.worker(language, language.name)
    calls = [[callee.name, func, [value]] for value in values for callee in callees]
    async with Client(stage.url) as client:
        outcomes = await client.options(group=caller.name).rfc("gathered", "gather", calls)
    assert isinstance(outcomes, list)
    return outcomes


# --- Arguments and results ------------------------------------------------------------------------


async def test_trio_calls_typescript_and_python(stage: Stage, typescript: Language, python: Language) -> None:
    """Each value goes to both and comes back as it was."""
    outcomes = await gathered(stage, OURS, [typescript, python], "echo")
    assert same(outcomes, [{"value": value} for value in VALUES for _ in range(2)])


async def test_published_client_calls_trio(stage: Stage, published: Language) -> None:
    """Each value goes there and comes back as it was."""
    outcomes = await gathered(stage, published, [OURS], "echo")
    assert same(outcomes, [{"value": value} for value in VALUES])


async def test_chain_through_all_three_clients_and_back(
    stage: Stage, typescript: Language, python: Language
) -> None:
    """A call passes from trio through TypeScript and Python to trio, and its result all the way back."""
    for language in (OURS, typescript, python):
        await stage.worker(language, language.name)
    chain = ["typescript", "relay", ["python", "relay", ["trio", "echo", [VALUES]]]]
    async with Client(stage.url) as client:
        assert same(await client.options(group="trio").rfc("chain", "relay", *chain), VALUES)


async def test_keyword_arguments_between_trio_and_python(stage: Stage, python: Language) -> None:
    """Both send them and take them, which the TypeScript client does not."""
    for language in (OURS, python):
        await stage.worker(language, language.name)
    async with Client(stage.url) as client:
        calls = client.options(group="python")
        assert await calls.rfc("to-python", "repeat", "ha", times=2) == "haha"
        assert await calls.rfc("to-trio", "relay", "trio", "repeat", ["ho"], kwargs={"times": 3}) == "hohoho"


# --- Errors ---------------------------------------------------------------------------------------


async def test_trio_catches_any_value_that_typescript_throws(stage: Stage, typescript: Language) -> None:
    """What was thrown is the data of the error that is raised."""
    outcomes = await gathered(stage, OURS, [typescript], "fail")
    assert same([outcome["data"] for outcome in outcomes], VALUES)


async def test_trio_catches_an_error_of_typescript(stage: Stage, typescript: Language) -> None:
    """The name of its class and its message arrive."""
    (outcome,) = await gathered(stage, OURS, [typescript], "complain", ["zu groß \U0001f389"])
    assert outcome["error"] == ["RangeError", "zu groß \U0001f389"]


async def test_trio_catches_what_python_raises(stage: Stage, python: Language) -> None:
    """The message arrives. The class does not: that client hides it in a pickle, which nobody here opens."""
    outcomes = await gathered(stage, OURS, [python], "fail")
    assert [outcome["error"] for outcome in outcomes] == [["Error", str(value)] for value in VALUES]


async def test_typescript_catches_what_trio_raises(stage: Stage, typescript: Language) -> None:
    """The name of the class and the message arrive; for an empty message that client has one of its own."""
    outcomes = await gathered(stage, typescript, [OURS], "fail")
    assert outcomes == [{"error": ["ValueError", str(value) or "Unknown error"]} for value in VALUES]


async def test_typescript_catches_a_group_that_trio_raises(stage: Stage, typescript: Language) -> None:
    """An exception group arrives as an AggregateError, with its members."""
    members = [{"error": ["ValueError", "x"]}, {"error": ["OSError", "x"]}]
    assert await gathered(stage, typescript, [OURS], "fail_twice", ["x"]) == [
        {"error": ["ExceptionGroup", "both"], "members": members}
    ]


async def test_python_catches_what_trio_raises(stage: Stage, python: Language) -> None:
    """The message arrives, in the error that this client has for what others raise."""
    outcomes = await gathered(stage, python, [OURS], "fail")
    assert outcomes == [{"error": ["ApplicationError", str(value)]} for value in VALUES]


# --- One group, two clients -----------------------------------------------------------------------


async def test_task_of_a_killed_typescript_worker_is_finished_by_python(
    stage: Stage, typescript: Language, python: Language
) -> None:
    """A worker of a group may be on any client that has the function."""
    first = await stage.worker(typescript, "holders", lease_ms=1_000)
    async with Client(stage.url) as client:
        await invoke_gate(client, "gate")
        held = await client.options(group="holders").rfi("held", "hold", "gate")
        await first.says("holds")
        await first.child.kill()
        second = await stage.worker(python, "holders")
        await second.says("holds")
        await client.promises.resolve("gate", "open")
        assert await held == "open"
