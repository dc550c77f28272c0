"""Tells a client what the application's scope says of it and of the server."""

import json

NAMES = ("type", "http_version", "scheme", "client", "server", "root_path", "path")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        raise RuntimeError("there is no lifespan here")
    told = {name: scope[name] for name in NAMES}
    told["raw_path"] = scope["raw_path"].decode()
    told["tls_version"] = scope.get("extensions", {}).get("tls", {}).get("tls_version")
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": json.dumps(told)})
        return await send({"type": "websocket.close"})
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(told).encode()})
