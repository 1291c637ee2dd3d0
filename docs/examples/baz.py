"""The service baz."""

import trio

from resonate_trio import Resonate

resonate = Resonate(group="baz")


@resonate.register
async def one() -> int:
    """Return 1, after some time."""
    await trio.sleep(0.1)
    return 1


@resonate.register
async def deliver(parcel: str) -> None:
    """Bring the parcel to the door."""
    print(f"baz delivers {parcel}", flush=True)


async def main() -> None:
    """Work until the process is ended."""
    async with resonate:
        print("baz is ready", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main)
