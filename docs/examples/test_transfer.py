"""Is a flow safe against crashes, and is new code safe for executions that are under way?"""

from pathlib import Path

import pytest

from resonate_trio import Context, DivergenceError, testing

pytest_plugins = ["resonate_trio.testing.plugin"]

effects = testing.Effects()


async def withdraw(amount: int, key: str) -> None:
    """Stand in for a bank that does nothing the second time that it gets a key."""
    effects.add("withdrawn", amount, key=key)


async def deposit(amount: int, key: str) -> None:
    """Stand in for the other bank."""
    effects.add("deposited", amount, key=key)


async def mail(text: str) -> None:
    """Stand in for a mail server, which knows no keys."""
    effects.add("mailed", text)


async def transfer(ctx: Context, amount: int) -> str:
    """Move money, and say so."""
    await ctx.lfc(withdraw, amount, f"{ctx.id}-out")
    await ctx.sleep(24 * 3600)
    await ctx.lfc(deposit, amount, f"{ctx.id}-in")
    await ctx.lfc(mail, f"{amount} moved")
    return "done"


def test_money_moves_once_wherever_the_worker_crashes() -> None:
    """A mail may come twice; money must not."""
    testing.check_crash_safe(transfer, 5, effects=effects, at_least_once=["mailed"])


def test_a_second_mail_is_noticed() -> None:
    """Were it not accepted, the check would say where it comes from."""
    with pytest.raises(testing.CrashSafetyError, match="happened twice, undisturbed once"):
        testing.check_crash_safe(transfer, 5, effects=effects)


async def test_an_outage_in_the_night_does_no_harm(resonate_world: testing.World) -> None:
    """The worker is killed while the money is under way, and the server restarts while nobody is there."""
    process = await resonate_world.start_worker(transfer)
    handle = await resonate_world.client.rfi("transfer-1", transfer, 5)
    resonate_world.plan("crash_after", kind="task.suspend", id="transfer-1")
    await resonate_world.restart_server(down_for=60)
    assert await handle == "done"
    assert process.is_running


async def impatient(ctx: Context, amount: int) -> str:
    """Do the same in another order: a mistake while transfers are under way."""
    await ctx.lfc(deposit, amount, f"{ctx.id}-in")
    await ctx.lfc(withdraw, amount, f"{ctx.id}-out")
    return "done"


async def test_record(resonate_world: testing.World, tmp_path: Path) -> None:
    """A history is a file to be kept; `await testing.record(url, id)` gets one from a server."""
    await resonate_world.start_worker(transfer)
    await resonate_world.client.rfc("transfer-1", transfer, 5)
    history = await resonate_world.history("transfer-1")
    history.save(tmp_path / "transfer.json")
    assert testing.History.load(tmp_path / "transfer.json") == history


def test_new_code_is_checked_against_a_record() -> None:
    """What was recorded is replayed; no step runs."""
    path = Path(__file__).parent / "transfer.json"
    assert testing.replay(path, transfer) == "done"
    with pytest.raises(DivergenceError, match="deposit"):
        testing.replay(path, impatient)
