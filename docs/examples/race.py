"""Ask several providers at once, and take the first answer."""

import trio
from trio.testing import MockClock

from resonate_trio import Context, Never, Resonate
from server_ref.clock import LoopClock
from server_ref.engine import open_engine
from server_ref.store import MemoryStore

resonate = Resonate()


@resonate.register
async def translate(ctx: Context, text: str, *providers: str) -> str:
    """Return the first translation."""
    answer = "no translation"
    async with ctx.open_nursery() as nursery:
        for provider in providers:
            nursery.rfi(ask, provider, text)
        try:
            answer = await nursery.first()
        except* ConnectionError as group:
            print(f"all {len(group.exceptions)} have failed")
    return answer


@resonate.register(retry=Never())
async def ask(provider: str, text: str) -> str:
    """Ask one provider."""
    if provider == "broken":
        raise ConnectionError("no line to the provider")
    try:
        await trio.sleep(1 if provider == "quick" else 3600)
    except trio.Cancelled:
        print(f"{provider}: not needed any more")
        raise
    return f"{text.upper()}, says {provider}"


async def main() -> None:
    """Race a slow, a quick and a broken provider; then two broken ones."""
    async with (
        open_engine(MemoryStore(), clock=LoopClock(0)) as engine,
        Resonate(engine=engine, registry=resonate.registry) as app,
    ):
        print(await app.rfc("race-1", translate, "hello", "slow", "quick", "broken"))
        print(await app.rfc("race-2", translate, "hello", "broken", "broken"))


if __name__ == "__main__":
    trio.run(main, clock=MockClock(autojump_threshold=0))  # jumps ahead whenever everybody waits
