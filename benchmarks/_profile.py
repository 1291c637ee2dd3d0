"""Where the time goes: samples of the stacks of the server and of a worker while they work."""

import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, final

import trio
from attrs import frozen

from .systems import Calls, Mode, Part, ResonateSystem, open_system, ours

WORK: Final[Mapping[str, Calls]] = {
    "steps": Calls("steps", [200], 200),
    "rfcs": Calls("calls", [50], 50),
    "flows": Calls("steps", [20], 20, jobs=100, width=100),
    "starts": Calls("empty", [], None, jobs=256, width=64),
}
"""What is profiled: rounds of these calls, again and again."""
PER_SECOND: Final = 250
"""Samples."""

WAITING: Final = (
    "get_events (",
    "Condition.wait (",
    "Runner.run (",
    "WorkerThread.run (",
    "StoreThread._work (",
    "select (",
)
"""Innermost frames of a thread that has nothing to do. What uvloop does below `Runner.run` is lost with them."""

LAYERS: Final[Sequence[tuple[str, Sequence[str]]]] = (
    ("conversion (cattrs, orjson)", ("cattrs/", "orjson", "<cattrs", "/_convert", "protocol/")),
    (
        "HTTP client (httpcore, httptools)",
        ("httpx/", "httpcore/", "h11/", "httpx_sse/", "_transport/_connections", "_transport/_answers"),
    ),
    (
        "HTTP server (uvicorn, starlette)",
        ("uvicorn/", "starlette/", "server_ref/app.py", "server_ref/posts.py", "server_ref/sse.py"),
    ),
    ("storing (SQLite)", ("server_ref/store/", "sqlite3/")),
    ("server: the machine", ("server_ref/machine/",)),
    ("server: turns and delivery", ("server_ref/",)),
    ("SDK", ("resonate_trio/", "benchmarks/")),
    ("event loop and threads", ("trio/", "anyio/", "asyncio/", "threading.py", "concurrent/", "uvloop")),
)
"""What a sample counts for, by the files of its frames: the innermost one that is in a layer decides."""


@final
@frozen
class Share:
    """What a layer of a process costs.

    Attributes:
        part: the process.
        layer: the layer.
        share: of the samples in which the process had something to do, the wait for the disk included.
        us_each: microseconds for each operation.
    """

    part: str
    layer: str
    share: float
    us_each: float


@final
@frozen
class Profile:
    """Where the time of a workload goes.

    Attributes:
        workload: its name.
        operations: how many steps, calls or starts there were.
        wall_us: microseconds of each by the clock on the wall.
        cpu_us: microseconds of processor time that each process used for each.
        shares: what the layers cost.
    """

    workload: str
    operations: int
    wall_us: float
    cpu_us: Mapping[Part, float]
    shares: Sequence[Share]


async def profile(workload: str, seconds: int) -> Profile:
    """Run a workload over HTTP for some seconds and look at what the server and the calling worker do.

    Raises:
        FileNotFoundError: there is no py-spy.
        subprocess.CalledProcessError: py-spy may not look at processes here.
    """
    parts: tuple[Part, ...] = ("server", "caller")
    calls = WORK[workload]
    each = (calls.expected or 1) * calls.jobs
    with TemporaryDirectory() as folder:
        files: dict[Part, Path] = {part: Path(folder, f"{part}.txt") for part in parts}
        async with open_system(Mode.HTTP) as system:
            await system.time_calls(calls)
            before = {part: ours(system).cpu_seconds(part) for part in parts}
            started = trio.current_time()
            rounds = await _sample_while_busy(ours(system), calls, files, seconds)
            wall = trio.current_time() - started
            used = {part: ours(system).cpu_seconds(part) - before[part] for part in parts}
        operations = rounds * each
        shares = [
            share
            for part, path in files.items()
            for share in attribute(part, path.read_text().splitlines(), 1_000_000 / PER_SECOND / operations)
        ]
    cpu = {part: 1_000_000 * value / operations for part, value in used.items()}
    return Profile(workload, operations, 1_000_000 * wall / operations, cpu, shares)


async def _sample_while_busy(
    system: ResonateSystem, calls: Calls, files: Mapping[Part, Path], seconds: int
) -> int:
    """Have py-spy look at the processes while calls are made; return how many rounds of them there were."""
    done = 0
    async with trio.open_nursery() as nursery:

        async def record() -> None:
            async with trio.open_nursery() as recorders:
                for part, path in files.items():
                    recorders.start_soon(_record, system.pid(part), path, seconds)
            nursery.cancel_scope.cancel()

        nursery.start_soon(record)
        while not nursery.cancel_scope.cancel_called:
            await system.time_calls(calls)
            done += 1
    return max(1, done)


async def _record(pid: int, path: Path, seconds: int) -> None:
    options = ["--format", "raw", "--rate", str(PER_SECOND), "--idle", "--nonblocking", "--full-filenames"]
    command = ["py-spy", "record", *options, "--duration", str(seconds), "--pid", str(pid), "--output", str(path)]
    await trio.run_process(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def attribute(part: str, lines: Iterable[str], us_each_sample: float) -> list[Share]:
    """Return what the layers of a process cost, the most costly first.

    Args:
        part: the process.
        lines: what py-spy wrote: frames, outermost first, and how often.
        us_each_sample: microseconds of one operation that one sample stands for.
    """
    counts: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not count.isdecimal():
            continue  # what is read from a process that is not stopped meanwhile may be nonsense
        if not any(mark in frames[-1] for mark in WAITING):
            counts[_layer_of(frames)] += int(count)
    total = sum(counts.values())
    return [Share(part, layer, count / total, count * us_each_sample) for layer, count in counts.most_common()]


def _layer_of(frames: Sequence[str]) -> str:
    for frame in reversed(frames):
        for layer, marks in LAYERS:
            if any(mark in frame for mark in marks):
                return layer
    return "other"


def to_lines(profile: Profile) -> list[str]:
    """Return a profile as lines of Markdown."""
    cpu = ", ".join(f"{part} {value:,.0f}" for part, value in profile.cpu_us.items())
    return [
        (
            f"*{profile.workload}*, {profile.operations:,} times, under the profiler, μs for each: "
            f"{profile.wall_us:,.0f} by the clock on the wall; processor time: {cpu}."
        ),
        "",
        "| process | layer | share | μs for each |",
        "|---|---|---|---|",
        *(f"| {each.part} | {each.layer} | {each.share:.0%} | {each.us_each:,.0f} |" for each in profile.shares),
    ]
