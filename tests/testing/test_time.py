"""Virtual time: it jumps when everybody waits, stands still for threads, and a seed decides the rest."""

import random

import trio

from resonate_trio import testing

YEAR_S = 365 * 24 * 3600


def test_a_year_passes_at_once() -> None:
    """Time jumps to the next deadline, and is exact."""

    async def main() -> float:
        await trio.sleep(YEAR_S)
        return trio.current_time()

    assert testing.run(main) == YEAR_S


def test_the_clock_stands_still_while_a_thread_runs() -> None:
    """A deadline does not pass while everybody waits for a thread, and passes again afterwards."""

    async def main() -> tuple[bool, float]:
        def work() -> None:
            for _ in range(200):
                trio.from_thread.run_sync(trio.current_time)

        with trio.move_on_after(10) as scope:
            await trio.to_thread.run_sync(work)
        await trio.sleep(5)
        return scope.cancelled_caught, trio.current_time()

    assert testing.run(main) == (False, 5)


def order(seed: int) -> list[int]:
    """Return the order in which tasks run that could run at the same time."""
    ran: list[int] = []

    async def note(number: int) -> None:
        ran.append(number)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(note, number)

    testing.run(main, seed=seed)
    return ran


def test_a_seed_decides_the_order_of_tasks() -> None:
    """The same seed gives the same order, another one mostly another."""
    assert order(7) == order(7)
    assert len({tuple(order(seed)) for seed in range(5)}) > 1


def test_what_was_random_is_random_again() -> None:
    """Python's generator goes on where it was."""
    random.seed(1)
    expected = [random.random(), random.random()]
    random.seed(1)
    first = random.random()
    order(7)
    assert [first, random.random()] == expected
