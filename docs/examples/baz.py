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


if __name__ == "__main__":
    trio.run(resonate.serve)
