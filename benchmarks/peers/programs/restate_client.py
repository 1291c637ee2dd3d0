"""Whoever calls Restate's functions: `... restate_client INGRESS-URL ADMIN-URL WORKER-URL …`.

It calls by aiohttp: of the HTTP clients at hand the one that takes the least time of its own.
"""

import asyncio
import sys

import aiohttp

from ._drive import serve_orders

START_TIMEOUT = 30.0
"""Seconds that the server and the workers may take until they are ready."""


async def main(ingress: str, admin: str, workers: list[str]) -> None:
    """Tell the server of the workers, then carry out orders."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as http:

        async def call(function: str, arguments: list[object]) -> object:
            service = "callee" if function == "echo" else "caller"
            # A handler without an argument refuses a request that has a content type.
            body = {"json": arguments[0]} if arguments else {"skip_auto_headers": ["content-type"]}
            async with http.post(f"{ingress}/{service}/{function}", **body) as reply:
                if reply.status != 200:
                    raise ConnectionError(f"{function}: status {reply.status}: {await reply.text()}")
                return await reply.json() if await reply.read() else None

        async with asyncio.timeout(START_TIMEOUT):
            for worker in workers:
                await _insist(http, f"{admin}/deployments", {"uri": worker})
            while not await _is_open(http, ingress):  # ruff: ignore[async-busy-wait] - another process, which cannot tell
                await asyncio.sleep(0.1)
        await serve_orders(call)


async def _insist(http: aiohttp.ClientSession, url: str, body: dict[str, object]) -> None:
    """Post until it is accepted: server and workers start at the same time as we do."""
    while True:
        try:
            async with http.post(url, json=body) as reply:
                if reply.ok:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.1)


async def _is_open(http: aiohttp.ClientSession, ingress: str) -> bool:
    try:
        async with http.post(f"{ingress}/callee/echo", json=1) as reply:
            return bool(reply.ok)
    except aiohttp.ClientError:
        return False


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
