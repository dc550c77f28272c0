"""One HTTP request of an ASGI application: its events, and the answer (ASGI, "HTTP & WebSocket").

Where the text leaves a choice this does what uvicorn does: after the client has gone, or the
response is complete, receive() gives http.disconnect, and send() does nothing, so that what an
application does after its response is done whether the client waits or not: background tasks,
commits, files that are closed. That is version 2.3 of the specification. Since 2.4 send() raises
OSError, and frameworks that see 2.4 no longer listen for http.disconnect. Here it does so where an
application streams on for PATIENCE seconds, after HEAD, too: it would never end.
"""

import asyncio
import logging
import os
import stat
from threading import get_ident

from . import frames
from .bodies import Comes, InFile
from .call import BROKEN, Call, Disconnected, Wrong, follows_disconnect
from .frames import ABORTED, DATA, END, HEAD, HINT, POSITION
from .heads import Refused
from .streams import BODY, marshalled, sized

DISCONNECT = "http.disconnect"
DEBUG = "http.response.debug"
PATIENCE = 30  # seconds
LONGER = "the application gave more bytes than its Content-Length"


class Request(Call):
    """An HTTP request and its answer."""

    __slots__ = ("method", "body", "source", "bodyless", "status", "headers", "waited", "hinted",
                 "trailers", "trailing", "opened", "left", "complained", "dropping")

    def __init__(self, server, id, scope, more, body):
        super().__init__(server, id, scope, more)
        # What receive() gives next: bytes, which are the rest, or what reads it; None: it has
        # given all.
        self.body = b"" if body is None else body
        self.source = None
        if type(self.body) is not bytes:
            length = int((more or {}).get("length", 0))
            self.source = (Comes(server.loop, body.number, self) if body.comes
                           else InFile(body.number, length))
            self.body = None
        self.method = scope["method"]
        self.bodyless = self.method == "HEAD"
        self.status = self.headers = None  # of http.response.start
        self.waited = False  # its head, for the body
        self.hinted = False  # early hints go before the head
        self.trailers = False  # it has promised them
        self.trailing = []  # those that it has given
        self.opened = False  # the head is sent
        self.left = None  # bytes that Content-Length still promises
        self.complained = False  # of messages after the end
        self.dropping = None  # since when

    async def receive(self):
        """The receive() of this request."""
        if get_ident() != self.server.thread:
            return await self.pass_on(self.receive)
        body = self.body
        if body is not None:
            self.body = None
            return {"type": "http.request", "body": body, "more_body": False}
        source = self.source
        if source is not None and not self.ended and self.gone is None:
            part = await source.read()
            if part is not None:
                data, more = part
                if not more:
                    self._close()
                return {"type": "http.request", "body": data, "more_body": more}
            if self.gone is None and self.source is source and not self.ended:
                self.gone = frames.GONE  # its body has broken off
            self._close()
        while not (self.ended or self.gone is not None or self.opened and self.bodyless):
            await self.event()
        await self.rest()
        return {"type": DISCONNECT}

    async def send(self, message):
        """The send() of this request."""
        if get_ident() != self.server.thread:
            return await self.pass_on(self.send, message)
        kind = message["type"]
        if self.sender is not None:
            await self.turn()
        if self.gone is not None:
            self.abort(self.why())
            await self._drop(message)
            return
        if self.status is None or self.ended:
            if self.ended:
                await self._after(kind)
            elif kind == "http.response.start":
                self._start(message)
            elif kind == "http.response.early_hint":
                self._hint(message)
                await asyncio.sleep(0)  # nothing else bounds them
            elif kind == DEBUG:
                self._debug(message)
            else:
                raise Wrong("expected http.response.start, and got %s" % kind)
            return
        if kind == "http.response.body":
            body = message.get("body", b"")
            if type(body) is not bytes:
                body = checked_body(body)
            more = message.get("more_body", False)
            size = len(body)
            if (self.opened and more and self.left is None and 0 < size <= self.credit
                    and size <= BODY and not self.bodyless):
                self.credit -= size  # a part of a stream, as _part() sends it
                self.put(DATA, 0, body)
            elif self.opened:
                await self._part(body, more)
            elif not self._whole(body, more):
                await self._open(body, more)
        elif kind == "http.response.pathsend":
            await self._file(opened(message.get("path")), 0, None, False)
        elif kind == "http.response.zerocopysend":
            await self._zerocopy(message)
        elif kind == "http.response.trailers":
            self._trail(message)
        elif kind == DEBUG:
            self._debug(message)
        else:
            raise Wrong("expected http.response.body, and got %s" % kind)

    async def _drop(self, message):
        """Takes a message that reaches nobody."""
        now = self.server.loop.time()
        if self.dropping is None:
            self.dropping = now
        await asyncio.sleep(0)  # as in rest()
        if message.get("more_body") and now - self.dropping > PATIENCE:
            raise Disconnected

    async def _after(self, kind):
        if not self.complained:
            self.complained = True
            raise Wrong("%s after the response was complete" % kind)
        await asyncio.sleep(0)  # who sends for ever leaves the others time

    def _debug(self, message):
        logging.getLogger("uvicorn.error").debug(
            "%s: debug information: %r", self.line(), message.get("info"))

    def _start(self, message):
        status = message.get("status")
        if isinstance(status, bool) or not isinstance(status, int):
            raise Wrong("the status %r is not an int" % (status,))
        headers = list(message.get("headers", ()))  # the application may change its own
        for index, pair in enumerate(headers):
            if type(pair) is not tuple:
                headers[index] = tuple(pair)
        self.headers = headers
        self.trailers = bool(message.get("trailers", False))
        self.status = int(status)

    def _hint(self, message):
        links = [(b"link", link) for link in message.get("links", ())]
        if links:
            payload = self.checked(links)
            self.hinted = True
            self.put(HINT, 0, payload)

    def checked(self, headers):
        """Returns headers as a frame carries them beside a head."""
        payload = marshalled(self.server.heads.checked(self.fields(headers)))
        if len(payload) > BODY:
            raise Refused("fields of %d bytes; at most %d are allowed" % (len(payload), BODY))
        return payload

    def fields(self, headers):
        """Returns headers as str, as Heads wants them."""
        checked = []
        for pair in headers:
            try:
                name, value = pair
            except (TypeError, ValueError):
                raise Refused("the header %r is not a pair of bytes" % (pair,)) from None
            if not isinstance(name, (bytes, bytearray)) or not isinstance(value, (bytes, bytearray)):
                raise Refused("the header %r is not a pair of bytes" % (pair,))
            checked.append((name.decode("latin-1"), value.decode("latin-1")))
        return checked

    def _whole(self, body, more):
        """Sends a whole answer whose head was sent before; else returns False."""
        if more or self.trailers or self.bodyless or self.hinted or len(body) > self.credit:
            return False
        try:
            if not self.server.answer(self.id, self.status, self.headers, body):
                return False
        except RecursionError:
            self.gone = BROKEN
            raise
        self.opened = self.ended = True
        self.finish()
        return True

    async def _body(self, body, more):
        if self.opened:
            await self._part(body, more)
        else:
            await self._open(body, more)

    async def _open(self, body, more, known=None):
        rest = self._begin(body, more, known)
        if rest is not None:
            await self._part(rest, more)

    def left_by(self, error):
        return super().left_by(error) or (
            self.opened and self.bodyless and follows_disconnect(error))

    def overdue(self):
        """Sends a head that waits for its body: to the client the answer has not begun."""
        if self.status is None or self.opened or self.ended or self.gone is not None:
            return
        if not self.waited:
            self.waited = True  # by the next time it has waited for long
            return
        try:
            self._begin(b"", True, None)
        except (Refused, Wrong):
            pass  # of which the next send() tells

    def _begin(self, body, more, known):
        """Sends the head, with what body there is; returns the rest, or None after a whole
        answer. The size of a body that HEAD leaves out is not known otherwise."""
        server = self.server
        size = len(body)
        whole = not more and not self.trailers
        if whole and (size or not self.bodyless):
            known = size
        head = server.heads.head(server.status(self.status), self.fields(self.headers), known)
        payload, length, bodyless = head
        if length is not None and size > int(length) and not (bodyless or self.bodyless):
            raise Wrong(LONGER)
        self.opened = True
        self.left = length
        self.bodyless = self.bodyless or bodyless
        if self.bodyless:
            self._send_whole(head, b"")
            self.ended = True
            self.finish()
            self.ended = not more
            return None
        if whole and size == length and size <= self.credit and len(payload) + size <= BODY:
            server.remember(self.status, self.headers, head, size)
            self._send_whole(head, body)
            self.ended = True
            self.finish()
            return None
        first = body[:max(min(size, self.credit, BODY - len(payload)), 0)]
        self.credit -= len(first)
        server.streams.put(sized(HEAD, 0, self.id & server.mask, self.id, payload, first))
        if self.left is not None:
            self.left -= len(first)
        return body[len(first):]

    def _send_whole(self, head, body):
        try:
            self.server.send_head(self.id, head, body, END, not self.hinted)
        except RecursionError:
            self.gone = BROKEN
            raise

    async def _part(self, body, more):
        """Sends body bytes of a response that has begun."""
        if self.bodyless:
            self.ended = not more
            if more:
                await self._drop({"more_body": True})  # the client has all of it
            return
        if self.left is not None and len(body) > self.left:
            raise Wrong(LONGER)
        view = memoryview(body)
        while len(view):
            part = view[:BODY]
            try:
                wanted = await self.spend(len(part))
            except asyncio.CancelledError:
                if len(view) < len(body):
                    self.abort("send() was cancelled in the midst of a part of the body")
                raise
            if not wanted:
                self.abort(self.why())
                return
            if self.left is not None:
                self.left -= len(part)
            self.put(DATA, 0, bytes(part))
            view = view[len(part):]
        if not more and not self.trailers:
            self._complete(b"", 0)

    def _complete(self, payload, flags):
        if self.left:
            reason = "the application gave %d bytes less than its Content-Length" % self.left
            self.abort(reason)
            raise Wrong(reason)
        self.put(DATA, END | flags, payload)
        self.ended = True
        self.finish()

    def _trail(self, message):
        if not self.opened or not self.trailers:
            raise Wrong("http.response.trailers was not announced by http.response.start, "
                        "or comes before the body")
        trailing = self.trailing + list(message.get("headers", ()))
        payload = self.checked(trailing)
        self.trailing = trailing
        if not message.get("more_trailers", False):
            self.trailers = False
            if not self.bodyless:
                self._complete(payload, frames.TRAILERS)

    async def _zerocopy(self, message):
        file = message.get("file")
        try:
            number = os.dup(file if isinstance(file, int) else file.fileno())
        except (AttributeError, OSError, ValueError):
            raise Wrong("http.response.zerocopysend has no open file") from None
        await self._file(number, message.get("offset"), message.get("count"),
                         message.get("more_body", False))

    async def _file(self, number, offset, count, more):
        """Sends a part of a file, which it closes. A whole answer has the front send it."""
        try:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise Wrong("what is to be sent is not a regular file")
            if offset is None:
                offset = os.lseek(number, 0, os.SEEK_CUR)
            for value in (offset, count):
                if value is not None and (not isinstance(value, int) or value < 0):
                    raise Wrong("a file is sent from offset %r, %r bytes of it" % (offset, count))
            size = max(status.st_size - offset, 0)
            if count is not None:
                size = min(size, count)
            if self.bodyless and not self.opened:
                await self._open(b"", more, size)
                return
            if self._give_file(number, offset, size, more):
                return
            while size > 0 and not self.bodyless:
                data = os.pread(number, min(size, BODY // 2), offset)
                if not data:
                    break
                offset, size = offset + len(data), size - len(data)
                await self._body(data, True)
            await self._body(b"", more)
        finally:
            os.close(number)

    def _give_file(self, number, offset, size, more):
        if self.opened or more or self.trailers or self.bodyless or not size:
            return False
        server = self.server
        payload, length, bodyless = server.heads.file_head(
            server.status(self.status), self.fields(self.headers), size)
        if bodyless or length is None or int(length) > size or not int(length):
            return False
        try:  # for reading, whatever the application has opened it for
            given = os.open("/proc/self/fd/%d" % number, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False  # the application may read it, but not open it
        self.opened = True
        server.streams.put_file(
            sized(HEAD, END | frames.FILE, self.id & server.mask, self.id, payload,
                  POSITION.pack(offset)), given)
        self.finish()
        return True

    def cancel(self, reason):
        super().cancel(reason)
        if reason == frames.ENDS:
            self.fail(self.why())  # who does not receive would never end

    def returned(self):
        """The application has returned: the answer is to be complete."""
        self._close()
        if self.ended:
            return
        if self.gone is not None:
            self.fail(self.why())
        elif not self.opened:
            self.server.complain(self.id, "the application returned without a response" if
                                 self.status is None else
                                 "the application returned without the body of its response")
            self.fail("")
        elif self.bodyless:
            self.ended = True
        else:
            reason = "the application returned without the end of its response"
            self.server.complain(self.id, reason)
            self.abort(reason)

    def fail(self, reason):
        """Answers 500, or breaks off a response that has begun."""
        self._close()
        if self.ended or self.bodyless and self.opened:
            return
        if self.opened or self.gone in (frames.GONE, frames.LATE, BROKEN):
            self.abort(reason)
            return
        self.opened = True
        body = b"" if self.bodyless else b"Internal Server Error\n"
        server = self.server
        head = server.heads.head("500 Internal Server Error", [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", "22")], None)
        server.send_head(self.id, head, body, END)
        self.finish()

    def abort(self, reason):
        """Breaks the response off."""
        if not self.ended:
            self.put(ABORTED, 0, marshalled(frames.plain(reason)))
            self.ended = True
            self.finish()

    def _close(self):
        source, self.source = self.source, None
        if source is not None:
            source.close()


def checked_body(body):
    """Returns body as bytes."""
    if isinstance(body, (bytes, bytearray, memoryview)):
        return bytes(body)
    if body is None:
        return b""
    raise Wrong("a body of type %s, not bytes" % type(body).__name__)


def opened(path):
    """Opens the file of http.response.pathsend."""
    if not isinstance(path, (str, os.PathLike)):
        raise Wrong("http.response.pathsend has the path %r" % (path,))
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO opens at once
