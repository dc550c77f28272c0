"""The ASGI application of the benchmarks: the standard library only.

It receives each request before it answers, because hypercorn closes a connection whose
request the application has not received.
"""

import asyncio

PLAIN = [(b"content-type", b"text/plain")]
EVENTS = 100
EVENT = b"data: %d\n\n"


async def hello(scope, receive, send):
    await receive()
    await answer(send, b"Hello, World!")


TEN_KIB = b"x" * 10240


async def ten(scope, receive, send):
    await receive()
    await answer(send, TEN_KIB)


async def upload(scope, receive, send):
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event.get("body", b""))
        more = event.get("more_body", False)
    await answer(send, b"%d" % size)


async def events(scope, receive, send):
    """Sends small events, each in a turn of the event loop of its own."""
    await receive()
    headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for n in range(EVENTS):
        await send({"type": "http.response.body", "body": EVENT % n, "more_body": True})
        await asyncio.sleep(0)
    await send({"type": "http.response.body"})


async def idle(scope, receive, send):
    """Sends one event, and waits until the client leaves."""
    await receive()
    headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": EVENT % 0, "more_body": True})
    await receive()


async def answer(send, body):
    headers = PLAIN + [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def echo(scope, receive, send):
    """Sends each message back."""
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        if event.get("bytes") is not None:
            await send({"type": "websocket.send", "bytes": event["bytes"]})
        else:
            await send({"type": "websocket.send", "text": event["text"]})


async def lifespan(scope, receive, send):
    while True:
        event = await receive()
        await send({"type": event["type"] + ".complete"})
        if event["type"] == "lifespan.shutdown":
            return


ROUTES = {"/": hello, "/10k": ten, "/upload": upload, "/events": events, "/idle": idle}
TYPES = {"websocket": echo, "lifespan": lifespan}


async def app(scope, receive, send):
    if scope["type"] == "http":
        await ROUTES[scope["path"]](scope, receive, send)
    else:
        await TYPES[scope["type"]](scope, receive, send)
