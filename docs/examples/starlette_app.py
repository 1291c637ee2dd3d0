"""A web application on asyncio that calls durable functions."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from resonate_trio import Client, PromiseNotFoundError, ResonateError

client = Client()


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None]:
    """Keep the client open for as long as the application runs."""
    async with client:
        yield


async def start(request: Request) -> JSONResponse:
    """Start a factorial, and answer at once. Started twice, it is the same one."""
    id = request.path_params["id"]
    body = await request.json()
    handle = await client.options(group="foo").rfi(id, "factorial", body["n"])
    return JSONResponse({"id": handle.id}, status_code=202)


async def result(request: Request) -> JSONResponse:
    """Wait for a result, and answer with it."""
    try:
        handle = await client.get(request.path_params["id"], int)
        return JSONResponse({"result": await handle})
    except PromiseNotFoundError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    except ResonateError as error:
        return JSONResponse({"error": str(error)}, status_code=502)


app = Starlette(
    lifespan=lifespan,
    routes=[
        Route("/factorials/{id}", start, methods=["PUT"]),
        Route("/factorials/{id}", result, methods=["GET"]),
    ],
)
