"""Starlette without FastAPI: endpoints, mounts, gzip, events, and large tables as datasette
streams them."""

import asyncio
import contextlib
import csv
import io

from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint, WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute

left = []


@contextlib.asynccontextmanager
async def lifespan(app):
    app.state.table = list(range(1000))
    yield


class Things(HTTPEndpoint):
    async def get(self, request):
        return PlainTextResponse("got")

    async def post(self, request):
        form = await request.form()
        return JSONResponse(dict(form))


class Echo(WebSocketEndpoint):
    encoding = "bytes"

    async def on_connect(self, websocket):
        chosen = "chat" if "chat" in websocket.scope["subprotocols"] else None
        await websocket.accept(subprotocol=chosen)

    async def on_receive(self, websocket, data):
        await websocket.send_bytes(data[::-1])


async def export(request):
    """Streams a table as CSV, a row at a time."""

    async def rows():
        for n in request.app.state.table:
            line = io.StringIO()
            csv.writer(line).writerow([n, f"name {n}", n * n])
            yield line.getvalue()
            if n % 100 == 0:
                await asyncio.sleep(0)

    return StreamingResponse(rows(), media_type="text/csv", headers={"content-disposition": "attachment"})


async def events(request):
    async def stream():
        try:
            for n in range(3):
                yield f"id: {n}\ndata: event {n}\n\n"
                await asyncio.sleep(0.001)
            if "endless" in request.query_params:
                while True:
                    await asyncio.sleep(0.01)
                    yield ": beat\n\n"
        finally:
            left.append("stream")

    return StreamingResponse(stream(), media_type="text/event-stream", headers={"cache-control": "no-store"})


async def who_left(request):
    for _ in range(2000):
        if len(left) >= int(request.query_params["n"]):
            break
        await asyncio.sleep(0.01)
    return JSONResponse(left)


async def body(request):
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ClientDisconnect:
        left.append("body")


async def long(request):
    return PlainTextResponse("long " * 1000)


app = Starlette(
    routes=[
        Route("/things", Things),
        Route("/export.csv", export),
        Route("/events", events),
        Route("/left", who_left),
        Route("/body", body, methods=["POST"]),
        Mount("/packed", routes=[Route("/long", long)]),
        WebSocketRoute("/echo", Echo),
    ],
    middleware=[Middleware(GZipMiddleware, minimum_size=1000)],
    lifespan=lifespan,
)
