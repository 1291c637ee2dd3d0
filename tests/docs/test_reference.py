"""The reference is complete: each public name, error, option, request and tag stands in it."""

import re
from pathlib import Path

import click
import pytest

import resonate_trio
from resonate_trio.cli import main
from resonate_trio.protocol import REQUESTS, PromiseState, TaskState, tags

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def page(name: str) -> str:
    """Return a page of the reference."""
    return (REFERENCE / f"{name}.md").read_text(encoding="utf-8")


def test_every_public_name_is_documented_once() -> None:
    """The pages of the API and of the errors have a directive for each name, and for nothing else."""
    documented = re.findall(r"^\.\. auto(?:class|exception):: (\w+)", page("api") + page("errors"), re.MULTILINE)
    assert sorted(documented) == sorted(resonate_trio.__all__)


def test_every_error_is_on_the_page_of_errors() -> None:
    """What users meet stands on one page."""
    documented = re.findall(r"^\.\. autoexception:: (\w+)", page("errors"), re.MULTILINE)
    public = {name: getattr(resonate_trio, name) for name in resonate_trio.__all__}
    errors = [name for name, thing in public.items() if isinstance(thing, type) and issubclass(thing, Exception)]
    assert sorted(documented) == sorted(errors)


@pytest.mark.parametrize(
    "cls", ["Resonate", "Client", "Context", "Nursery", "RootHandle", "Handle", "Promises", "Schedules"]
)
def test_every_method_is_documented(cls: str) -> None:
    """No public method or property of these classes is left out, except what only the runtime calls."""
    (section,) = re.findall(rf"^\.\. autoclass:: {cls}\n((?: .*\n|\n)*)", page("api"), re.MULTILINE)
    methods = {name for name in dir(getattr(resonate_trio, cls)) if not name.startswith("_")}
    for method in methods - {"close", "conclude", "is_leaf", "poke", "read", "receive"}:
        assert re.search(rf"\b{method}\b", section), method


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_option_is_documented(command: str) -> None:
    """The page of the command has each subcommand, and each of its arguments and options."""
    text = page("cli")
    assert f"## `resonate-trio {command}`" in text
    for parameter in main.commands[command].params:
        if isinstance(parameter, click.Argument):
            assert f"`resonate-trio {command} {parameter.human_readable_name.upper()}`" in text
        else:
            assert f"`{parameter.opts[0]}" in text


def test_every_request_state_and_tag_is_documented() -> None:
    """The page of the protocol names each kind of request, each state and each tag."""
    text = page("protocol")
    names = {value for name, value in vars(tags).items() if name.isupper() and str(value).startswith("resonate:")}
    for name in {*REQUESTS, *PromiseState, *TaskState, *names}:
        assert f"`{name}`" in text, name
