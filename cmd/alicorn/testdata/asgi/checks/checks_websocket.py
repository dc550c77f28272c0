"""Checks of websocket scopes and messages."""

import asyncio

from checks_faults import Deliberate

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


async def accept(c, **more):
    c.same(dict(await c.receive()), {"type": "websocket.connect"}, "first event")
    await c.send({"type": "websocket.accept", **more})


async def close(c, **more):
    await c.send({"type": "websocket.close", **more})


async def take(c, text=None, data=None):
    """Receives a message, of which one of text and bytes is there and the other is not, or None."""
    event = await c.receive()
    c.same(event["type"], "websocket.receive", "type")
    c.same(event.get("text"), text, "text")
    c.same(event.get("bytes"), data, "bytes")


@check
async def ws_scope(c):
    required = {"type", "asgi", "http_version", "scheme", "path", "raw_path", "query_string",
                "root_path", "headers", "client", "server", "subprotocols"}
    c.same(c.scope["type"], "websocket", "type")
    c.same(sorted(required - c.scope.keys()), [], "list of missing keys")
    c.same(sorted(c.scope.keys() - required - {"state", "extensions"}), [], "list of unknown keys")
    c.same(c.scope["scheme"], "ws", "scheme")
    c.same(c.scope["http_version"], "1.1", "http_version")
    c.same(c.scope["path"], "/ws_scope/a b", "path")
    c.same(c.scope["raw_path"], b"/ws_scope/a%20b", "raw_path")
    c.same(c.scope["query_string"], b"q=1", "query_string")
    c.same(c.scope["client"][0], "127.0.0.1", "host of the client")
    c.same(list(c.scope["subprotocols"]), [], "list of subprotocols")
    await accept(c)
    await close(c)


@check
async def ws_versions(c):
    c.same(c.scope["asgi"]["version"], "3.0", "version")
    c.same(c.scope["asgi"].get("spec_version"), "2.5", "spec_version")
    await accept(c)
    await close(c)


@check
async def ws_headers(c):
    for pair in c.scope["headers"]:
        c.same([type(v) for v in pair], [bytes, bytes], "list of types of a header")
    c.same(c.value(b"x-a"), b"1", "x-a")
    c.same(c.value(b"sec-websocket-version"), b"13", "sec-websocket-version")
    c.same(c.value(b"upgrade"), b"websocket", "upgrade")
    await accept(c)
    await close(c)


@check
async def ws_state(c):
    c.same(c.scope.get("state", {}).get("number"), 1, "number of the state")
    await accept(c)
    await close(c)


@check
async def ws_subprotocols(c):
    c.same(list(c.scope["subprotocols"]), ["a", "b.c", "d"], "list of subprotocols")
    await accept(c, subprotocol="b.c")
    await close(c)


@check
async def ws_accept_headers(c):
    await accept(c, headers=[(b"x-own", b"1"), (b"set-cookie", b"a=1")])
    await close(c)


@check
async def ws_refuse(c):
    await c.receive()
    await close(c)


@check
async def ws_refuse_with_response(c):
    c.true("websocket.http.response" in c.scope.get("extensions", {}), "there is no extension websocket.http.response")
    await c.receive()
    if c.faults:
        return await close(c)
    await c.send({"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-own", b"1"), (b"content-length", b"5")]})
    await c.send({"type": "websocket.http.response.body", "body": b"den", "more_body": True})
    await c.send({"type": "websocket.http.response.body", "body": b"y!"})


@check
async def ws_text(c):
    await accept(c)
    await take(c, text="hello")
    await take(c, text="")
    await take(c, text="\u00e9\U0001f600")
    await c.send({"type": "websocket.send", "text": "hello"})
    await c.send({"type": "websocket.send", "text": ""})
    await c.send({"type": "websocket.send", "text": "\u00e9\U0001f600"})
    await close(c)


@check
async def ws_bytes(c):
    await accept(c)
    await take(c, data=b"\x00\xff")
    await take(c, data=b"")
    await c.send({"type": "websocket.send", "bytes": b"\x00\xff"})
    await c.send({"type": "websocket.send", "bytes": b"", "text": None})
    await c.send({"type": "websocket.send", "bytes": None, "text": "t"})
    await close(c)


@check
async def ws_fragments(c):
    """The client sends a ping between the fragments."""
    await accept(c)
    await take(c, text="one two")
    await close(c)


@check
async def ws_large(c):
    await accept(c)
    event = await c.receive()
    c.same(len(event["bytes"]), 100_000, "size of the message")
    await c.send({"type": "websocket.send", "bytes": event["bytes"]})
    await close(c)


@check
async def ws_both_ways(c):
    """It sends while it waits for a message."""
    await accept(c)
    waiting = asyncio.ensure_future(c.receive())
    await asyncio.sleep(0)
    await c.send({"type": "websocket.send", "text": "first"})
    c.same((await waiting).get("text"), "second", "text")
    await close(c)


@check
async def ws_messages_are_in_order(c):
    await accept(c)
    for n in range(20):
        await take(c, text=str(n))
    for n in range(20):
        await c.send({"type": "websocket.send", "text": str(n)})
    await close(c)


@check
async def ws_client_closes(c):
    await accept(c)
    event = await c.receive()
    c.same(event["type"], "websocket.disconnect", "type")
    c.same(event["code"], 1000, "code")


@check
async def ws_client_closes_with_reason(c):
    await accept(c)
    event = await c.receive()
    c.same(event["code"], 3001, "code")
    c.same(event.get("reason"), "bye", "reason")


@check
async def ws_client_closes_without_code(c):
    await accept(c)
    c.same((await c.receive())["code"], 1005, "code")


@check
async def ws_client_vanishes(c):
    await accept(c)
    event = await c.receive()
    c.same(event["type"], "websocket.disconnect", "type")
    c.same(event["code"], 1006, "code")


@check
async def ws_send_after_the_client_closed(c):
    await accept(c)
    await c.receive()
    try:
        await c.send({"type": "websocket.send", "text": "late"})
    except OSError:
        return
    except Exception as error:
        c.fault(f"send raises {error!r}, which is no OSError")
        return
    c.fault("send raises no OSError")


@check
async def ws_server_closes(c):
    await accept(c)
    await close(c)


@check
async def ws_server_closes_with_reason(c):
    await accept(c)
    await close(c, code=4000, reason="b\u00fcro")


@check
async def ws_send_after_close(c):
    await accept(c)
    await close(c)
    await c.refused({"type": "websocket.send", "text": "late"}, "a message after the close")


@check
async def ws_close_twice(c):
    await accept(c)
    await close(c)
    await c.refused({"type": "websocket.close"}, "a second close")


@check
async def ws_send_before_accept(c):
    await c.receive()
    await c.refused({"type": "websocket.send", "text": "early"}, "a message before the accept")
    await c.send({"type": "websocket.accept"})
    await close(c)


@check
async def ws_accept_twice(c):
    await accept(c)
    await c.refused({"type": "websocket.accept"}, "a second accept")
    await close(c)


@check
async def ws_send_nothing(c):
    await accept(c)
    await c.refused({"type": "websocket.send"}, "a message without text and bytes")
    await close(c)


@check
async def ws_text_is_bytes(c):
    await accept(c)
    await c.send({"type": "websocket.send", "text": b"bytes"})  # the type decides, as for uvicorn
    await close(c)


@check
async def ws_http_message(c):
    await accept(c)
    await c.refused({"type": "http.response.body", "body": b""}, "an http message")
    await close(c)


@check
async def ws_subprotocol_is_malformed(c):
    await c.receive()
    await c.refused({"type": "websocket.accept", "subprotocol": "x y\r\n"}, "a subprotocol with a line feed")
    await c.send({"type": "websocket.accept"})
    await close(c)


@check
async def ws_raises_before_accept(c):
    await c.receive()
    raise Deliberate("before the accept")


@check
async def ws_raises_after_accept(c):
    await accept(c)
    raise Deliberate("after the accept")


@check
async def ws_returns_before_accept(c):
    await c.receive()


@check
async def ws_returns_after_accept(c):
    await accept(c)


@check
async def ws_breach(c):
    """The client sends what is no frame."""
    await accept(c)
    event = await c.receive()
    c.same(event["type"], "websocket.disconnect", "type")


@check
async def ws_waits_for_the_client(c):
    """The client reads nothing until a send waits."""
    message, sent, waited = b"x" * (1 << 16), 0, False
    await accept(c)
    while sent < 128 << 20:
        sending = asyncio.ensure_future(c.send({"type": "websocket.send", "bytes": message}))
        sent += len(message)
        done, _ = await asyncio.wait([sending], timeout=0.5)
        if not done:
            waited = True
            c.begin()
        await sending
        if waited:
            break
    c.true(waited, "send never waits")
    c.begin()
    await c.send({"type": "websocket.send", "text": "end"})
    await close(c)
