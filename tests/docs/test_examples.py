"""Every example of the documentation: it runs, it prints what the page shows, and a page shows it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from resonate_trio.cli.demo.processes import Child, run_child

pytestmark = pytest.mark.slow

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "examples"
PATIENCE_S = 30.0
"""How long a program, or a whole test, may take."""

PRINTING = [
    "approval",
    "compensate",
    "deadline",
    "failures",
    "hello",
    "options",
    "payloads",
    "race",
    "retries",
    "schedules",
    "typed_values",
]
"""Programs that run by themselves. What they print stands in a file beside them."""
TELLING = ["watch"]
"""Programs that do so of several tasks at the same time."""
PYTEST = ["test_deadlines", "test_reminder", "test_replays", "test_scopes", "test_transfer"]
"""Files of tests."""
CRASHING = ["order"]
"""A program that is run again after its crash."""
SERVICES = ["bar", "baz", "foo"]
"""Programs that run until they are ended, with a server."""
ASKING = ["ask", "expenses", "expenses_app", "starlette_app", "worker"]
"""Programs that need a server, and some of them the services."""


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of this process without what configures us, and with other variables."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RESONATE_")} | variables


def run(*arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run Python to its end."""
    command = [sys.executable, *arguments]
    env = environment(**variables)
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def run_example(name: str, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run an example to its end."""
    return run(str(EXAMPLES / f"{name}.py"), *arguments, cwd=cwd, **variables)


def shown(name: str) -> str:
    """Return what the page says that an example prints."""
    return (EXAMPLES / f"{name}.out").read_text(encoding="utf-8")


# --- By themselves --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRINTING)
def test_example_prints_what_the_page_shows(name: str, tmp_path: Path) -> None:
    """A program ends without an error, and its output is the one in the documentation."""
    ended = run_example(name, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, shown(name)), ended.stderr


@pytest.mark.parametrize("name", TELLING)
def test_example_tells_of_each_task_what_the_page_shows(name: str, tmp_path: Path) -> None:
    """What several tasks do at the same time is told in any order."""

    def by_task(text: str) -> list[str]:
        return sorted(text.splitlines(), key=lambda line: line.split(": ")[0])

    ended = run_example(name, cwd=tmp_path)
    assert (ended.returncode, by_task(ended.stdout)) == (0, by_task(shown(name))), ended.stderr


@pytest.mark.parametrize("name", PYTEST)
def test_example_of_tests_passes(name: str, tmp_path: Path) -> None:
    """The tests that the documentation shows pass, under our own strict configuration."""
    ended = run("-m", "pytest", "-p", "no:cacheprovider", str(EXAMPLES / f"{name}.py"), cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout


def test_order_survives_a_crash(tmp_path: Path) -> None:
    """Killed in its second step, the program goes on there the next time; the time after that, nothing runs."""
    crashed, recovered, done = (run_example("order", cwd=tmp_path) for _ in range(3))
    assert (crashed.returncode, crashed.stdout) == (-signal.SIGKILL, shown("order.1"))
    assert (recovered.returncode, recovered.stdout) == (0, shown("order.2")), recovered.stderr
    assert done.stdout == shown("order.2").splitlines(keepends=True)[-1]


# --- With a server --------------------------------------------------------------------------------


class Programs:
    """Programs that run until the test ends."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._said: dict[str, list[str]] = {}
        self._news = trio.Event()
        self.url = ""

    async def start(self, name: str, *arguments: str) -> Child:
        """Start Python."""
        self._said[name] = []
        hear = partial(self._hear, name)
        command = [sys.executable, *arguments]
        variables = {"RESONATE_URL": self.url}
        child: Child = await self._nursery.start(
            partial(run_child, name, command, hear, hear, environment=variables)
        )
        return child

    async def says(self, name: str, pattern: str) -> str:
        """Wait until a program has said what matches; return the group of the match."""
        while True:
            for line in self._said[name]:
                if match := re.search(pattern, line):
                    return match[match.lastindex or 0]
            await self._news.wait()

    async def ask(self, id: str, function: str, *arguments: str) -> str:
        """Call a function of the service foo by `ask.py`; return what that prints."""
        command = [sys.executable, str(EXAMPLES / "ask.py"), id, function, *arguments]
        ended = await trio.run_process(command, capture_stdout=True, env=environment(RESONATE_URL=self.url))
        return ended.stdout.decode()

    def _hear(self, name: str, line: str) -> None:
        self._said[name].append(line)
        self._news.set()
        self._news = trio.Event()


@asynccontextmanager
async def open_programs(tmp_path: Path, *services: str) -> AsyncGenerator[Programs]:
    """Start a server on a file, and services; all are gone at the end."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            programs = Programs(nursery)
            serve = ["-m", "resonate_trio", "serve", "--db", str(tmp_path / "resonate.db"), "--port", "0"]
            await programs.start("server", *serve)
            programs.url = await programs.says("server", r"listening on (\S+),")
            for service in services:
                await programs.start(service, str(EXAMPLES / f"{service}.py"))
            try:
                yield programs
            finally:
                nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_services_of_the_tutorial_call_each_other(tmp_path: Path) -> None:
    """Each command of the tutorial prints what its page shows."""
    async with open_programs(tmp_path, *SERVICES) as programs:
        assert await programs.ask("fan-out-1", "fan_out") == "2\n"
        assert await programs.ask("chain-1", "chain") == "3\n"
        assert await programs.ask("factorial-1", "factorial", "10") == "3628800\n"
        assert await programs.ask("parcel-1", "accept", '"a book"') == "a book is accepted\n"
        await programs.says("bar", "^bar packs a book$")
        await programs.says("baz", "^baz delivers a book$")


@pytest.mark.trio
async def test_web_application_starts_flows_and_waits_for_them(tmp_path: Path) -> None:
    """The application on asyncio answers as its page shows, also when it is asked for what is not there."""
    async with open_programs(tmp_path, "foo") as programs:
        await programs.start(
            "web", "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "starlette_app:app"
        )
        url = await programs.says("web", r"running on (http://\S+)")
        async with httpx.AsyncClient(base_url=url) as browser:
            for _ in range(2):
                started = await browser.put("/factorials/five", json={"n": 5})
                assert (started.status_code, started.json()) == (202, {"id": "five"})
            assert (await browser.get("/factorials/five")).json() == {"result": 120}
            assert (await browser.get("/factorials/six")).status_code == 404


@pytest.mark.trio
async def test_humans_decide_in_a_web_application(tmp_path: Path) -> None:
    """The first decision counts; a withdrawn one says why; what is not there is not found."""
    async with open_programs(tmp_path, "expenses") as programs:
        await programs.start("web", "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0", "expenses_app:app")
        url = await programs.says("web", r"running on (http://\S+)")
        async with httpx.AsyncClient(base_url=url) as browser:
            assert (await browser.put("/expenses/desk", json={"amount": 120})).json() == {"id": "desk"}
            link = await programs.says("expenses", r"^pay 120 €\? please decide at (/decisions/desk%3A1)$")
            for approved, by in ((True, "Ann"), (False, "Ben")):
                decided = await browser.put(link, json={"approved": approved, "by": by})
                assert decided.json() == {"approved": True, "by": "Ann"}
            assert (await browser.get("/expenses/desk")).json() == {"result": "120 € are paid, says Ann"}

            await browser.put("/expenses/chair", json={"amount": 80})
            link = await programs.says("expenses", r"^pay 80 €\? please decide at (/decisions/chair%3A1)$")
            assert (await browser.delete(link)).json() == {"state": "rejected_canceled"}
            assert (await browser.get("/expenses/chair")).json() == {"result": "withdrawn: not needed any more"}
            assert (await browser.delete("/decisions/nothing")).status_code == 404


@pytest.mark.trio
async def test_worker_stops_when_it_is_told_to(tmp_path: Path) -> None:
    """A worker that gets SIGTERM finishes what runs and ends with status 0."""
    async with open_programs(tmp_path) as programs:
        worker = await programs.start("worker", str(EXAMPLES / "worker.py"))
        await programs.says("worker", "executing tasks of the group 'reports'")
        assert await worker.signal(signal.SIGTERM) == 0
        await programs.says("worker", "SIGTERM: closing")


# --- All of them ----------------------------------------------------------------------------------


def test_every_example_is_run() -> None:
    """No file in docs/examples is forgotten by the tests above."""
    programs = {path.stem for path in EXAMPLES.glob("*.py")}
    assert programs == {*PRINTING, *TELLING, *PYTEST, *CRASHING, *SERVICES, *ASKING}
    outputs = {path.stem for path in EXAMPLES.glob("*.out")}
    assert outputs == {*PRINTING, *TELLING, "order.1", "order.2"}


def test_every_example_is_shown() -> None:
    """Each file in docs/examples is included in a page."""
    pages = "".join(page.read_text(encoding="utf-8") for page in DOCS.rglob("*.md"))
    included = set(re.findall(r"^```\{literalinclude\} \.\./examples/(\S+)$", pages, re.MULTILINE))
    assert included == {path.name for path in EXAMPLES.iterdir() if path.suffix in {".py", ".out"}}
