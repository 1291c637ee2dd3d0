"""Call a function of the service foo: `python ask.py ID FUNCTION [ARGUMENT]`."""

import json
import sys

import trio

from resonate_trio import Client


async def main(id: str, function: str, arguments: list[str]) -> None:
    """Print what the function returns."""
    async with Client() as client:
        print(await client.options(group="foo").rfc(id, function, *map(json.loads, arguments)))


if __name__ == "__main__":
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3:])
