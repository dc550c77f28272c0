"""Applications that the tests of ASGI workers run."""

import asyncio
import os
import sys

events = []  # of the lifespan


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(scope, receive, send)
    elif scope["type"] == "websocket":
        await SOCKETS.get(scope["path"], echo)(scope, receive, send)
    else:
        await ROUTES.get(scope["path"], hello)(scope, receive, send)


async def lifespan(scope, receive, send):
    while True:
        message = await receive()
        kind = message["type"]
        events.append(kind)
        scope["state"]["started"] = True
        await send({"type": kind + ".complete"})
        if kind == "lifespan.shutdown":
            print("shut down")
            return


async def answer(send, body, status=200, headers=()):
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def hello(scope, receive, send):
    await answer(send, b"hello", headers=[(b"content-type", b"text/plain")])


async def shows_scope(scope, receive, send):
    await answer(send, repr(scope).encode())


async def body(scope, receive, send):
    parts, message = [], await receive()
    while message["type"] == "http.request":
        parts.append(message["body"])
        if not message["more_body"]:
            break
        message = await receive()
    await answer(send, b"%s %d %d" % (message["type"].encode(), len(parts), len(b"".join(parts))))


async def parts(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    for _ in range(20):
        await send({"type": "http.response.body", "body": b"x" * 50000, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


async def waits(scope, receive, send):
    await receive()
    print("heard", (await receive())["type"])


async def hangs(scope, receive, send):
    try:
        await asyncio.sleep(1000)
    finally:
        print("cancelled")


async def fails(scope, receive, send):
    raise ValueError("deliberately")


async def fails_late(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": b"part", "more_body": True})
    raise ValueError("deliberately")


async def silent(scope, receive, send):
    pass


async def exits(scope, receive, send):
    sys.exit(7)


async def lists(scope, receive, send):
    await answer(send, b"lists", headers=[[b"x-a", b"1"], [b"x-a", b"2"]])


async def longer(scope, receive, send):
    await answer(send, b"longer", headers=[(b"content-length", b"2")])


async def file(scope, receive, send):
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.pathsend", "path": os.path.abspath(__file__)})


async def fields(scope, receive, send):
    await send({"type": "http.response.early_hint", "links": [b"</a.css>; rel=preload"]})
    await send({"type": "http.response.start", "status": 200, "trailers": True})
    await send({"type": "http.response.body", "body": b"body"})
    await send({"type": "http.response.trailers", "headers": [(b"x-sum", b"1")]})


async def after(scope, receive, send):
    await answer(send, b"answered")
    await asyncio.sleep(0.05)
    print("worked on")


async def echo(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept", "subprotocol": (scope["subprotocols"] or [None])[0]})
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            print("left with", message["code"])
            return
        if message.get("text") == "close":
            await send({"type": "websocket.close", "code": 4000, "reason": "asked"})
            continue
        await send({"type": "websocket.send", "text": message.get("text"),
                    "bytes": message.get("bytes")})


async def refuses(scope, receive, send):
    await receive()
    await send({"type": "websocket.close"})


async def denies(scope, receive, send):
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    for more in (True, False):
        await send({"type": "websocket.http.response.body", "body": b"no", "more_body": more})


async def breaks(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    raise ValueError("deliberately")


ROUTES = {"/scope": shows_scope, "/api/scope": shows_scope, "/caf\xe9 x": shows_scope, "/body": body, "/parts": parts,
          "/waits": waits, "/hangs": hangs, "/fails": fails, "/fails_late": fails_late,
          "/silent": silent, "/exits": exits, "/lists": lists, "/longer": longer, "/file": file,
          "/fields": fields, "/after": after}
SOCKETS = {"/refuses": refuses, "/denies": denies, "/breaks": breaks}


async def startup_fails(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def without_lifespan(scope, receive, send):
    assert scope["type"] == "http"
    await hello(scope, receive, send)


class Single:
    """An application of ASGI 2."""

    def __init__(self, scope):
        self.scope = scope

    async def __call__(self, receive, send):
        await hello(self.scope, receive, send)
