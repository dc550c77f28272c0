"""An ASGI application to be disturbed: requests, endless event streams, WebSockets."""

import asyncio
import os
import time

PID = b"pid %d\n" % os.getpid()


async def pid(scope, receive, send):
    await answer(send, PID)


async def events(scope, receive, send):
    """Sends an event each 50 ms until the client leaves or the worker ends."""
    await receive()
    gone = asyncio.ensure_future(receive())
    headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    while not gone.done():
        await send({"type": "http.response.body", "body": b"data: " + PID + b"\n", "more_body": True})
        await asyncio.wait([gone], timeout=0.05)
    await send({"type": "http.response.body"})


async def wait(scope, receive, send):
    """Waits for the client to leave, for ten seconds at most."""
    while (await asyncio.wait_for(receive(), 10))["type"] != "http.disconnect":
        pass


async def block(scope, receive, send):
    """Stops the event loop, as a call that is not async does."""
    time.sleep(float(scope["query_string"]))
    await answer(send, PID)


async def upload(scope, receive, send):
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        more = event.get("more_body", False)
    await answer(send, PID)


async def tasks(scope, receive, send):
    await answer(send, b"tasks %d\n" % len(asyncio.all_tasks()))


async def answer(send, body):
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


ROUTES = {"/": pid, "/events": events, "/wait": wait, "/block": block, "/upload": upload, "/tasks": tasks}


async def app(scope, receive, send):
    if scope["type"] == "http":
        await ROUTES[scope["path"]](scope, receive, send)
    elif scope["type"] == "websocket":
        await echo(scope, receive, send)
    else:
        while True:
            event = await receive()
            await send({"type": event["type"] + ".complete"})
            if event["type"] == "lifespan.shutdown":
                return
