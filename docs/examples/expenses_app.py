"""A web application on asyncio in which humans decide on expenses."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from expenses import Decision, expense, resonate
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from resonate_trio import Client, PromiseNotFoundError

client = Client(registry=resonate.registry)


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncGenerator[None]:
    """Keep the client open for as long as the application runs."""
    async with client:
        yield


async def claim(request: Request) -> JSONResponse:
    """Start a flow, and answer at once."""
    amount = (await request.json())["amount"]
    handle = await client.options(group="expenses").rfi(request.path_params["id"], expense, amount)
    return JSONResponse({"id": handle.id}, status_code=202)


async def decide(request: Request) -> JSONResponse:
    """Settle the promise that the flow waits for, and answer with what counts: the first decision."""
    id, body = request.path_params["id"], await request.json()
    await client.promises.resolve(id, Decision(body["approved"], body["by"]))
    decision = await (await client.get(id, Decision))
    return JSONResponse({"approved": decision.approved, "by": decision.by})


async def withdraw(request: Request) -> JSONResponse:
    """Settle the promise as cancelled."""
    promise = await client.promises.cancel(request.path_params["id"], reason="not needed any more")
    return JSONResponse({"state": promise.state})


async def result(request: Request) -> JSONResponse:
    """Wait for the flow's result, and answer with it."""
    return JSONResponse({"result": await (await client.get(request.path_params["id"], str))})


async def not_found(_: Request, error: Exception) -> JSONResponse:
    """Answer those who ask for what is not there."""
    return JSONResponse({"error": str(error)}, status_code=404)


app = Starlette(
    lifespan=lifespan,
    exception_handlers={PromiseNotFoundError: not_found},
    routes=[
        Route("/expenses/{id}", claim, methods=["PUT"]),
        Route("/expenses/{id}", result, methods=["GET"]),
        Route("/decisions/{id}", decide, methods=["PUT"]),
        Route("/decisions/{id}", withdraw, methods=["DELETE"]),
    ],
)
