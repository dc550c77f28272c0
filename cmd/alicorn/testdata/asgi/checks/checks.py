"""An ASGI application that checks its server from inside.

A request for /NAME/... runs the check of that name, which receives, sends and notes
faults; then /verdict?NAME says what it found, as JSON. The client does the rest of each
check: it sends the right request and compares the answer.
"""

import asyncio
import json
import traceback

import checks_faults
import checks_http
import checks_lifespan
import checks_websocket

CHECKS = {**checks_http.CHECKS, **checks_faults.CHECKS, **checks_lifespan.CHECKS, **checks_websocket.CHECKS}

# How long a verdict or a gate waits, so that nothing waits for ever.
PATIENCE = 20


class Check:
    """One run of a check: what the server gave it, and the faults that it has noted."""

    gates = {}

    def __init__(self, scope, receive, send):
        self.scope, self.receive, self.send = scope, receive, send
        self.faults = []
        self.done = asyncio.Event()
        self.headers = [(bytes(k), bytes(v)) for k, v in scope["headers"]]

    def fault(self, text):
        self.faults.append(text)

    def same(self, got, want, what):
        """Notes a fault unless got is want, in its type, too."""
        if type(got) is not type(want) or got != want:
            self.fault(f"{what} is {got!r}, not {want!r}")

    def true(self, condition, what):
        if not condition:
            self.fault(what)

    def value(self, name):
        return next((v for n, v in self.headers if n == name), b"")

    async def answer(self, body=b"ok", status=200, headers=()):
        """Sends a whole response."""
        await self.start(status, headers)
        await self.send({"type": "http.response.body", "body": body})

    async def start(self, status=200, headers=()):
        await self.send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def part(self, body, more=True):
        await self.send({"type": "http.response.body", "body": body, "more_body": more})

    async def body(self):
        """Returns the parts of the request's body."""
        parts, more = [], True
        while more:
            event = await self.receive()
            if event["type"] != "http.request":
                self.fault(f"the body ends with {event!r}")
                return parts
            parts.append(event.get("body", b""))
            more = event.get("more_body", False)
        return parts

    async def refused(self, message, what):
        """Notes a fault unless send raises an exception."""
        try:
            await self.send(message)
        except Exception:
            return
        self.fault(f"send takes {what}")

    async def gate(self):
        """Waits until the client asks for /open?NAME."""
        await asyncio.wait_for(self.gate_of("open", name_of(self.scope)).wait(), PATIENCE)

    def begin(self):
        """Lets the client go on, which asks for /begun?NAME."""
        self.gate_of("begun", name_of(self.scope)).set()

    def has_run(self, name):
        return name in RUNS

    @classmethod
    def gate_of(cls, kind, name):
        return cls.gates.setdefault((kind, name), asyncio.Event())


def name_of(scope):
    return scope["path"].lstrip("/").split("/")[0]


RUNS = {}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return await checks_lifespan.lifespan(scope, receive, send)
    name = name_of(scope)
    if name == "verdict":
        return await verdict(scope["query_string"].decode(), send)
    if name == "open":
        Check.gate_of(name, scope["query_string"].decode()).set()
        return await reply(send, b"opened")
    if name == "begun":
        await asyncio.wait_for(Check.gate_of(name, scope["query_string"].decode()).wait(), PATIENCE)
        return await reply(send, b"begun")
    run = Check(scope, receive, send)
    RUNS.setdefault(name, []).append(run)
    wake(name)
    try:
        await CHECKS[name](run)
    except checks_faults.Deliberate:
        raise
    except BaseException:
        run.fault(traceback.format_exc())
        raise
    finally:
        run.done.set()


WAITING = {}


def wake(name):
    if name in WAITING:
        WAITING[name].set()


async def verdict(name, send):
    """Answers with the faults of all runs of a check, once they have ended."""
    try:
        if name not in RUNS:
            WAITING[name] = asyncio.Event()
            await asyncio.wait_for(WAITING[name].wait(), PATIENCE)
        for run in RUNS[name]:
            await asyncio.wait_for(run.done.wait(), PATIENCE)
        faults = [fault for run in RUNS[name] for fault in run.faults]
    except asyncio.TimeoutError:
        faults = ["the check has not ended" if name in RUNS else "the check has not begun"]
    await reply(send, json.dumps(faults).encode())


async def reply(send, body):
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
