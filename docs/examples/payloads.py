"""What other clients of the protocol see: the tags and payloads of an invocation."""

import base64
import json

import trio

from resonate_trio import Never, Resonate
from resonate_trio.protocol import Value

resonate = Resonate(group="shop")


@resonate.register(retry=Never())
async def divide(a: int, b: int) -> float:
    """Divide."""
    return a / b


def json_of(value: Value) -> str:
    """Return what is stored in a promise."""
    return base64.b64decode(value.data or "").decode()


async def main() -> None:
    """Print what is stored for a call, for its result, and for a failure."""
    async with resonate:
        await (await resonate.rfi("division-1", divide, 1, b=4))
        promise = await resonate.promises.get("division-1")
        print(f"target  {promise.tags['resonate:target']}")
        print(f"param   {json_of(promise.param)}")
        print(f"value   {json_of(promise.value)}")
        failed = await resonate.rfi("division-2", divide, 1, 0)
        try:
            await failed
        except ZeroDivisionError:
            promise = await resonate.promises.get("division-2")
        error = json.loads(json_of(promise.value))
        print(f"error   {error['__type']}, {error['name']}: {error['message']}")


if __name__ == "__main__":
    trio.run(main)
