"""One WebSocket of an ASGI application. The front speaks to the client: here are messages."""

import asyncio
import struct
from collections import deque
from threading import get_ident

from . import frames
from .call import Call, Disconnected, Wrong, follows_disconnect
from .frames import ABORTED, ACCEPT, CLOSE, CREDIT, LENGTH, MESSAGE
from .heads import HOP_BY_HOP, Refused
from .request import Request, checked_body
from .streams import BODY, marshalled, sized, wake

PART_COST = 64  # of a part of a message, beside its bytes
PART = 32768  # bytes of a part
LONGEST_REASON = 123  # bytes
CODE = struct.Struct("<H")
SENT_BY_FRONT = frozenset(("sec-websocket-accept", "sec-websocket-extensions",
                           "sec-websocket-protocol"))
CONNECTING, OPEN, REFUSED, CLOSED = range(4)


class WebSocket(Call):
    """A WebSocket, from websocket.connect to websocket.disconnect."""

    method = "WEBSOCKET"
    __slots__ = ("state", "connected", "parts", "held", "queue", "owed", "code", "reason", "denial")

    def __init__(self, server, id, scope, more, body):
        super().__init__(server, id, scope, more)
        self.state = CONNECTING
        self.connected = False  # receive() has given websocket.connect
        self.parts = bytearray()  # of an unfinished message
        self.held = 0  # what they cost, which was given back
        self.queue = deque()  # (event, what it costs)
        self.owed = 0  # credit that was not given back yet
        self.code = None  # with which the WebSocket has ended
        self.reason = ""
        self.denial = None  # the answer of websocket.http.response

    async def receive(self):
        """The receive() of this WebSocket."""
        if get_ident() != self.server.thread:
            return await self.pass_on(self.receive)
        if not self.connected:
            self.connected = True
            return {"type": "websocket.connect"}
        while not self.queue:
            if self.code is not None or self.gone is not None or self.ended:
                code = self.code if self.code is not None else 1006
                await self.rest()
                return {"type": "websocket.disconnect", "code": code, "reason": self.reason}
            await self.event()
        event, cost = self.queue.popleft()
        self._repay(cost)
        return event

    async def send(self, message):
        """The send() of this WebSocket."""
        if get_ident() != self.server.thread:
            return await self.pass_on(self.send, message)
        kind = message["type"]
        if self.sender is not None:
            await self.turn()
        if self.code is not None or self.gone is not None:
            await asyncio.sleep(0)
            if kind == "websocket.close":
                return  # as uvicorn does
            raise Disconnected
        if self.state == CONNECTING:
            await self._answer(kind, message)
        elif self.state == OPEN and kind == "websocket.send":
            await self._message(message)
        elif self.state == OPEN and kind == "websocket.close":
            self._close(message.get("code", 1000), message.get("reason") or "")
        elif self.state == REFUSED and kind in ("websocket.http.response.body",
                                                "http.response.body"):
            await self.denial.send(dict(message, type="http.response.body"))
            self.ended = self.denial.ended
        else:
            raise Wrong("%s %s" % (kind, {
                OPEN: "after websocket.accept", REFUSED: "after the WebSocket was refused",
                CLOSED: "after websocket.close"}[self.state]))

    async def _answer(self, kind, message):
        if kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self.state = CLOSED
            self._refuse("403 Forbidden", b"")
        elif kind in ("websocket.http.response.start", "http.response.start"):
            self.state = REFUSED
            scope = dict(self.scope, method="GET")
            self.denial = Request(self.server, self.id, scope, self.more, None)
            self.denial.credit, self.denial.task = self.credit, self.task
            await self.denial.send(dict(message, type="http.response.start"))
        else:
            raise Wrong("expected websocket.accept, websocket.close or "
                        "websocket.http.response.start, and got %s" % kind)

    def _accept(self, message):
        subprotocol = message.get("subprotocol")
        if subprotocol is not None and not isinstance(subprotocol, str):
            raise Wrong("the subprotocol %r is not a str" % (subprotocol,))
        if subprotocol and subprotocol not in self.scope["subprotocols"]:
            raise Wrong("the subprotocol %r is none that the client offers" % subprotocol)
        headers = []
        for name, value in Request.fields(None, message.get("headers") or ()):
            lower = name.lower()
            if lower in SENT_BY_FRONT or lower in HOP_BY_HOP:
                raise Wrong("the header %r of websocket.accept belongs to the server" % name)
            headers.append((name, value))
        payload = marshalled((subprotocol or "", self.server.heads.checked(headers)))
        if len(payload) > BODY:
            raise Refused("the headers of websocket.accept take %d bytes; at most %d are allowed"
                          % (len(payload), BODY))
        self.state = OPEN
        self.server.streams.put(sized(
            ACCEPT, 0, self.id & self.server.mask, self.id, payload))

    def _refuse(self, status, body):
        server = self.server
        head = server.heads.head(status, [("Content-Length", "%d" % len(body))], len(body))
        server.send_head(self.id, head, body, frames.END)
        self.finish()

    async def _message(self, message):
        data, flags = message.get("bytes"), 0
        if data is None:
            data = message.get("text")
        if isinstance(data, str):  # the type decides, as for uvicorn
            data, flags = data.encode("utf-8"), frames.TEXT_PART
        elif data is None:
            raise Wrong("websocket.send has neither bytes nor text")
        elif type(data) is not bytes:
            data = checked_body(data)
        if len(data) <= PART and self.credit >= len(data) + PART_COST:
            self.credit -= len(data) + PART_COST
            self.put(MESSAGE, flags | frames.END, data)
            return
        view = memoryview(data)
        while True:
            part, rest = view[:PART], view[PART:]
            try:
                wanted = await self.spend(len(part) + PART_COST)
            except asyncio.CancelledError:
                if len(view) < len(data):
                    self.fail("send() was cancelled in the midst of a message")
                raise
            if not wanted:
                raise Disconnected
            self.put(MESSAGE, flags | (0 if len(rest) else frames.END), bytes(part))
            if not len(rest):
                return
            view = rest

    def _close(self, code, reason):
        if isinstance(code, bool) or not isinstance(code, int) or not (
                1000 <= code < 5000) or code in (1004, 1005, 1006, 1015):
            raise Wrong("websocket.close has the code %r" % (code,))
        if not isinstance(reason, str):
            raise Wrong("websocket.close has the reason %r" % (reason,))
        text = reason.encode("utf-8")[:LONGEST_REASON]
        payload = CODE.pack(code) + text.decode("utf-8", "ignore").encode()
        self.state = CLOSED
        self.put(CLOSE, 0, payload)

    def message(self, payload, flags):
        """Takes a part of a message of the client."""
        cost = len(payload) + PART_COST
        if not flags & frames.END:
            self.parts += payload  # which may be many and small
            self.held += cost
            self._repay(cost)  # a message may be longer than the window
            return
        if self.parts:
            self.parts += payload
            payload = bytes(self.parts)
            self.parts = bytearray()
            self._repay(-self.held)  # it counts until the application receives it
            cost += self.held
            self.held = 0
        event = {"type": "websocket.receive"}
        if flags & frames.TEXT_PART:
            event["text"] = payload.decode("utf-8", "replace")
        else:
            event["bytes"] = payload
        self.queue.append((event, cost))
        wake(self.waiter)

    def _repay(self, cost):
        self.owed += cost
        if self.owed >= self.server.window // 4:
            self.put(CREDIT, 0, LENGTH.pack(self.owed))
            self.owed = 0

    def closed(self, payload):
        """Notes that the WebSocket has ended."""
        self.code, = CODE.unpack_from(payload)
        self.reason = payload[CODE.size:].decode("utf-8", "replace")
        self.finish()

    def left_by(self, error):
        return super().left_by(error) or self.code is not None and follows_disconnect(error)

    def grant(self, size):
        super().grant(size)
        if self.denial is not None:
            self.denial.grant(size)

    def cancel(self, reason):
        super().cancel(reason)
        if self.denial is not None:
            self.denial.cancel(reason)

    def returned(self):
        """The application has returned."""
        if self.ended or self.state == CLOSED:
            return
        if self.state == OPEN:
            self._close(1000, "")
        elif self.denial is not None:
            self.denial.returned()
        elif self.gone is not None:
            self.fail(self.why())
        else:
            self.server.complain(self.id, "the application returned without an answer to "
                                          "websocket.connect")
            self.fail("")

    def fail(self, reason):
        """Refuses the WebSocket with 500, or has it closed with 1011."""
        if self.ended or self.state == CLOSED:
            return
        if self.denial is not None:
            self.denial.fail(reason)
        elif self.state == CONNECTING and self.gone not in (frames.GONE, frames.LATE):
            self.state = CLOSED
            self._refuse("500 Internal Server Error", b"Internal Server Error\n")
        else:
            self.state = CLOSED
            self.put(ABORTED, 0, marshalled(frames.plain(reason)))
            self.finish()
