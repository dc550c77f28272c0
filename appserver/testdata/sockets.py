"""An ASGI application for tests of WebSockets, and a WSGI one beside it."""

import asyncio
import os
import signal


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "http":
        await http(scope, receive, send)
    else:
        await websocket(scope, receive, send)


async def http(scope, receive, send):
    size = 0
    while True:
        event = await receive()
        size += len(event.get("body", b""))
        if not event.get("more_body"):
            break
    fields = [(b"content-type", b"text/plain"), (b"x-size", b"%d" % size)]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": b"asgi " + scope["path"].encode()})


async def websocket(scope, receive, send):
    path = scope["path"]
    await receive()
    if path == "/refuse":
        return await send({"type": "websocket.close"})
    if path == "/answer":
        fields = [(b"content-type", b"text/plain")]
        await send({"type": "websocket.http.response.start", "status": 418, "headers": fields})
        return await send({"type": "websocket.http.response.body", "body": b"no tea"})
    if path == "/never":
        print("waits", flush=True)
        event = await receive()
        return print("told", event["type"], flush=True)
    subprotocol = scope["subprotocols"][-1] if scope["subprotocols"] else None
    await send({"type": "websocket.accept", "subprotocol": subprotocol, "headers": [(b"x-a", b"1")]})
    await send({"type": "websocket.send", "text": "hello " + scope["scheme"]})
    if path == "/raise":
        raise RuntimeError("after accept")
    while True:
        event = await receive()
        if event["type"] == "websocket.disconnect":
            return print("disconnect", event["code"], flush=True)
        if event.get("text") == "close":
            return await send({"type": "websocket.close", "code": 4001, "reason": "so long"})
        if event.get("text") == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        await send(dict(event, type="websocket.send"))


def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"wsgi " + environ["PATH_INFO"].encode()]
