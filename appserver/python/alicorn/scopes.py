"""The scope of a request or a WebSocket, as the front encodes it (PROTOCOL.md, "The scope").

As an environ it has a shape, which is the same for many requests, and values. For each shape a
scope is kept ready: a request gets a copy of it, with its own values.
"""

import sys
from urllib.parse import unquote

from .frames import LENGTH

MOST = 256  # shapes remembered
LONGEST = 2048  # bytes of a shape that is remembered
ALWAYS = 4  # values that come first: raw_path, query_string, client_host, client_port


class Scopes(dict):
    """Shape -> (the scope without the values, keys of further values, names of the fields)."""

    def __init__(self, debug=False, stripped=False, bare=False):
        super().__init__()
        self.state = None  # of the lifespan: each request gets a copy
        self.debug = debug  # debug information is logged
        self.stripped = stripped  # a proxy takes root_path off all paths
        self.bare = bare  # the application wants paths as they come

    def __missing__(self, shape):
        fixed, keys, names = {}, [], []
        for item in shape.split(b"\0"):
            if item[:1] != b"=":
                names.append(item)
                continue
            key, given, value = item[1:].decode("latin-1").partition(":")
            if given:
                fixed[sys.intern(key)] = value
            else:
                keys.append(sys.intern(key))
        known = ready(fixed), keys[ALWAYS:], names
        if len(shape) <= LONGEST:
            if len(self) >= MOST:
                self.clear()
            self[shape] = known
        return known

    def scope(self, data):
        """Returns a new scope, and what the front says besides, which is a dict or None."""
        length, = LENGTH.unpack_from(data)
        end = LENGTH.size + length
        known, keys, names = self[data[LENGTH.size:end]]
        values = data[end:].split(b"\0")
        scope = known.copy()
        raw = values[0]
        scope["raw_path"] = raw
        scope["query_string"] = values[1]
        host = values[2]
        scope["client"] = (host.decode("latin-1"), int(values[3] or 0)) if host else None
        path = raw.decode("utf-8", "replace")
        scope["path"] = unquote(path) if "%" in path else path
        scope["asgi"] = {"version": "3.0", "spec_version": (  # see request.py
            "2.3" if known["type"] == "http" else "2.5")}
        scope["extensions"] = {
            "http.response.pathsend": {}, "http.response.zerocopysend": {},
            "http.response.trailers": {}, "http.response.early_hint": {},
        } if known["type"] == "http" else {"websocket.http.response": {}}
        if self.debug and known["type"] == "http":
            scope["extensions"]["http.response.debug"] = {}
        more = None
        if keys:
            last = ALWAYS + len(keys)
            more = dict(zip(keys, (value.decode("latin-1") for value in values[ALWAYS:last])))
            scope["headers"] = list(zip(names, values[last:]))
            complete(scope, more)
        else:
            scope["headers"] = list(zip(names, values[ALWAYS:]))
        root = scope["root_path"]
        if root and not self.bare and (
                self.stripped or not (path + "/").startswith(root + "/")):
            scope["path"] = root + scope["path"]
        if known["type"] == "websocket":
            scope["subprotocols"] = subprotocols(scope["headers"])
        if self.state is not None:
            scope["state"] = self.state.copy()
        return scope, more


def ready(fixed):
    """Returns the part of a scope that its shape fixes."""
    scope = {
        "type": fixed["type"], "http_version": fixed["http_version"],
        "scheme": fixed["scheme"], "root_path": fixed.get("root_path", ""),
    }
    port = fixed["server_port"]
    scope["server"] = fixed.get("server", ""), int(port) if port else None
    if "method" in fixed:
        scope["method"] = fixed["method"]
    return scope


def complete(scope, more):
    """Puts the further values that belong to the scope there."""
    if "method" in more:
        scope["method"] = more["method"]
    if "tls_version" in more:
        scope["extensions"]["tls"] = {
            "server_cert": None, "client_cert_chain": [], "client_cert_name": None,
            "client_cert_error": None, "tls_version": int(more["tls_version"]),
            "cipher_suite": None,
        }


def subprotocols(headers):
    """Returns what the client offers, in its order."""
    offered = []
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            offered += [item.strip() for item in value.decode("latin-1").split(",")]
    return [item for item in offered if item]
