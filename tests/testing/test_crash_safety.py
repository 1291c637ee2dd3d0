"""`check_crash_safe`: what it tries, what it finds, and what it tells."""

import random

import pytest
import trio

from resonate_trio import Context, Resonate, testing

from .flows import add, count, fan_out, random_id, remind


def found(error: pytest.ExceptionInfo[testing.CrashSafetyError]) -> str:
    """Return what is different, as it is told."""
    return "\n".join(error.value.differences)


def test_a_flow_of_steps_is_safe_at_every_point() -> None:
    """Each request of its worker has two points: before it is sent, and before its reply is heard of."""
    report = testing.check_crash_safe(count, 3)
    assert len(report.points) >= 8
    assert [point.side for point in report.points[:2]] == ["before", "after"]
    assert [point.number for point in report.points] == list(range(1, len(report.points) + 1))
    assert "execute flow at 1, acquired" in report.trace


def test_what_it_calls_crashes_as_well() -> None:
    """Workers of other groups have their points, too."""

    async def ask(ctx: Context) -> int:
        total: int = await ctx.options(group="counters").rfc("count", 2)
        return total

    report = testing.check_crash_safe(ask, groups={"counters": [count]})
    assert {point.worker for point in report.points} == {"default-1", "counters-1"}


def test_an_application_is_taken_as_it_is() -> None:
    """The flow is registered there."""
    app = Resonate()
    app.register(fan_out)
    app.register(count)
    assert testing.check_crash_safe(fan_out, 2, app=app).points


def test_a_year_of_sleep_is_no_hindrance() -> None:
    """Crashes before it, in it and after it."""
    testing.check_crash_safe(remind, "it")


def test_a_failure_must_be_the_same_too() -> None:
    """A flow may fail, as long as it always does in the same way."""

    async def fail(ctx: Context) -> None:
        await ctx.lfc(add, 1, 1)
        raise ValueError("no")

    testing.check_crash_safe(fail)


def test_an_effect_outside_of_a_step_is_found() -> None:
    """It happens again in every replay."""
    effects = testing.Effects()

    async def flow(ctx: Context) -> None:
        effects.add("charged", 5)
        await ctx.lfc(add, 1, 1)

    with pytest.raises(testing.CrashSafetyError) as error:
        testing.check_crash_safe(flow, effects=effects)
    assert "charged(5) happened twice, undisturbed once" in found(error)
    assert "make it a step" in found(error)


def test_a_step_that_is_not_idempotent_is_found() -> None:
    """It happens again if the worker crashes between doing it and storing its result."""
    effects = testing.Effects()

    async def charge() -> None:
        effects.add("charged", 5)

    async def flow(ctx: Context) -> None:
        await ctx.lfc(charge)

    with pytest.raises(testing.CrashSafetyError) as error:
        testing.check_crash_safe(flow, effects=effects)
    assert "charged(5) happened twice" in found(error)
    assert error.value.point is not None
    assert error.value.point.side == "before"
    assert "settle flow:1" in error.value.point.request
    assert "crashes, before it sends this" in error.value.found
    assert "crashes" not in error.value.expected
    assert error.value.found in str(error.value)


def test_an_effect_with_a_key_counts_once() -> None:
    """A service that knows the key does nothing the second time."""
    effects = testing.Effects()

    async def charge(key: str) -> None:
        effects.add("charged", 5, key=key)

    async def flow(ctx: Context) -> None:
        await ctx.lfc(charge, str(ctx.uuid4()))

    testing.check_crash_safe(flow, effects=effects)
    assert effects.count("charged") == 1


def test_a_random_key_is_found() -> None:
    """Another key is another request."""
    effects = testing.Effects()

    async def charge() -> None:
        effects.add("charged", 5, key=f"{random.random()}")

    async def flow(ctx: Context) -> None:
        await ctx.lfc(charge)

    with pytest.raises(testing.CrashSafetyError) as error:
        testing.check_crash_safe(flow, effects=effects)
    assert "Does it depend on something that a replay does not repeat" in found(error)


def test_a_key_for_two_requests_is_found() -> None:
    """The service would do the first, and only say that it did the second."""
    effects = testing.Effects()

    async def flow() -> None:
        effects.add("charged", len(effects) + 1, key="k")

    with pytest.raises(testing.CrashSafetyError) as error:
        testing.check_crash_safe(flow, effects=effects)
    assert "one key, but not the same request" in found(error)


def test_repeating_may_be_accepted() -> None:
    """But not that it does not happen, nor that something else does."""
    effects = testing.Effects()

    async def mail() -> None:
        effects.add("mailed", "ann")

    async def flow(ctx: Context) -> None:
        await ctx.lfc(mail)

    testing.check_crash_safe(flow, effects=effects, at_least_once=["mailed"])


def test_an_effect_that_is_lost_is_found() -> None:
    """A flow that remembers what it did elsewhere than in a step does not do it after a crash."""
    effects = testing.Effects()
    done: list[str] = []

    async def charge() -> None:
        if not done:
            done.append("charged")
            await trio.sleep(5)
            effects.add("charged")

    async def flow(ctx: Context) -> None:
        await ctx.lfc(charge)

    with pytest.raises(testing.CrashSafetyError) as error:
        testing.check_crash_safe(flow, effects=effects, at_least_once=["charged"], setup=done.clear)
    assert "charged() happened never, undisturbed once" in found(error)


def test_a_result_that_no_replay_repeats_is_found() -> None:
    """Even without a crash: it is run twice undisturbed."""
    with pytest.raises(testing.CrashSafetyError, match="with no crash at all") as error:
        testing.check_crash_safe(random_id)
    assert error.value.point is None
    assert "it gave the result" in found(error)


def test_another_path_is_found() -> None:
    """What is invoked must be the same, even where the result is."""
    runs: list[int] = []

    async def flow(ctx: Context) -> None:
        runs.append(1)
        await ctx.lfc(add, 1, 1)
        if len(runs) == 1:
            await ctx.lfc(add, 2, 2)

    with pytest.raises(testing.CrashSafetyError) as error:
        testing.check_crash_safe(flow, setup=runs.clear)
    assert "at 'flow:2' it invoked nothing, undisturbed add" in found(error)


def test_fakes_are_reset_before_each_run() -> None:
    """`setup` is called as often as the flow is run."""
    calls: list[int] = []
    report = testing.check_crash_safe(count, 1, setup=lambda: calls.append(1))
    assert len(calls) == 2 + len(report.points)


def test_effects_from_threads_count() -> None:
    """A plain function runs in a thread; after a crash it may still run, but is void."""
    effects = testing.Effects()

    def charge() -> None:
        effects.add("charged", key="k")

    async def flow(ctx: Context) -> None:
        await ctx.lfc(charge)

    testing.check_crash_safe(flow, effects=effects)
    assert len(effects) >= 1
