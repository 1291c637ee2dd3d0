"""What the tests with published clients share: workers on any client, and what callers are told."""

import json
import sys
from collections.abc import Sequence
from typing import Final, final

from attrs import frozen

from tests.e2e.kit import Kit, Program

from .installing import PROGRAMS

LEASE_MS: Final = 30_000


@final
@frozen
class Language:
    """A client of the protocol, and our program on it.

    Attributes:
        name: what we call it; where a test needs but one worker of it, also the group of that.
        command: runs the program.
    """

    name: str
    command: Sequence[str]


OURS: Final = Language("trio", (sys.executable, str(PROGRAMS / "ours.py")))


@final
class FailedError(Exception):
    """What a caller was told instead of a result: the name of an error, and its message."""


@final
class Stage:
    """The programs of one test.

    Attributes:
        url: where their server is.
    """

    def __init__(self, kit: Kit, url: str) -> None:
        self.url = url
        self._kit = kit
        self._programs: list[Program] = []

    def __repr__(self) -> str:
        return f"<Stage at {self.url}: {self._programs!r}>"

    async def worker(self, language: Language, group: str, *, lease_ms: int = LEASE_MS) -> Program:
        """Start a worker of a group. It need not be waited for: tasks wait for it."""
        return await self._start(language, group, str(lease_ms))

    async def call(self, language: Language, command: str, *arguments: object) -> object:
        """Have a published client perform a command, in a process of the group `callers`; return its result.

        Args:
            language: the client.
            command: `run`, `rpc`, `resolve`, `schedule` or `unschedule`.
            *arguments: those of the command, as JSON.

        Raises:
            FailedError: the client raised an error.
        """
        caller = await self._start(language, "callers", str(LEASE_MS), command, json.dumps(arguments))
        status = await caller.child.wait()
        told = [line for line in caller.said if line.startswith("outcome ")]
        assert (status, len(told)) == (0, 1), caller.complained
        outcome = json.loads(told[0].removeprefix("outcome "))
        if "error" in outcome:
            raise FailedError(*outcome["error"])
        return outcome["value"]

    def complaints(self) -> list[str]:
        """Return what the clients have logged, each line with the name of its program."""
        return [f"{program.child.name}: {line}" for program in self._programs for line in program.complained]

    async def _start(self, language: Language, group: str, *arguments: str) -> Program:
        command = [*language.command, self.url, group, *arguments]
        program = await self._kit.run(f"{language.name} {group}", *command)
        self._programs.append(program)
        return program
