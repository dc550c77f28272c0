"""ASGI (version 3.0): runs an application's requests in one event loop.

The front sends at most so many requests as run at a time. Each is a task, which ends with the
call of the application; what the application does after its response goes on. Everything that
an application sends is checked: what leaves here is well formed.
"""

import asyncio
import os
import time
from http.client import responses

from . import failure, frames
from .channel import ChannelClosed
from .frames import END, HEAD, LENGTH, PREFIX, SIZED
from .heads import Heads
from .request import Request
from .scopes import Scopes
from .streams import Requests, Streams, sized, wake_front
from .websocket import WebSocket

DEEPEST = 64  # lines of a task's stack
MOST_HEADS = 256  # whole heads remembered
STATUSES = {code: "%d %s" % (code, reason) for code, reason in responses.items()}
LOST = ("the request's descriptors were lost on the way to this worker: "
        "has the application used up its open files (ulimit -n)?")


def new_loop(name):
    """Returns a new event loop of that kind, and its kind; raises ImportError."""
    if name != "asyncio":
        try:
            import uvloop

            return uvloop.new_event_loop(), "uvloop"
        except ImportError:
            if name == "uvloop":
                raise
    return asyncio.new_event_loop(), "asyncio"


class Server:
    """Runs what the front sends through one ASGI application."""

    def __init__(self, application, channel, settings, loop):
        self.application = application
        self.channel = channel
        self.loop = loop
        self.window = settings["window"]
        self.most = settings["streams"]
        self.mask = (1 << settings["index_bits"]) - 1
        self.key = settings["request_key"]
        self.marks = channel.marks()
        self.scopes = Scopes()
        self.room = channel.lane.largest if channel.lane else 0  # bytes of a frame in the lane
        self.index = 0  # of a slot, for Heads
        self.heads = Heads(self)
        self.whole = {}  # (status, size, *headers) -> (write, length of the frame, head)
        self.running = {}  # id -> a request that the front waits for
        self.tasks = set()  # of the application's calls
        self.ended = None  # a future: nothing runs and nothing will come
        self.stopped = None  # SystemExit or KeyboardInterrupt of the application
        self.error = None  # why the channel has ended
        self._retired = False
        self.streams = Streams(loop, self._dispatch)
        self.requests = Requests(loop, channel, self._start, self._has_room, self._retire)

    async def serve(self):
        """Serves until the front retires the worker, and all that runs has ended."""
        self.ended = self.loop.create_future()
        self.requests.begin()
        try:
            await self.ended
        finally:
            self.streams.flush()
        if self.error is not None:
            raise self.error

    def beat(self, longest):
        """Says from now on that the loop turns, and how late it was."""
        pause = min(longest / 4, 1)
        marks, loop = self.marks, self.loop

        def beat(due):
            now = loop.time()
            marks[frames.LAG] = min(int(max(now - due, 0) * 1000), 0xffffffff)
            marks[frames.HEARTBEAT] = marks[frames.HEARTBEAT] + 1 & 0xffffffff
            loop.call_at(now + pause, beat, now + pause)

        beat(loop.time())

    def _has_room(self):
        return len(self.running) < self.most

    def _start(self, id, data, body):
        if data is None:
            self._refuse(id)
            return
        scope, more = self.scopes.scope(data)
        kind = Request if scope["type"] == "http" else WebSocket
        request = kind(self, id, scope, more, body)
        self.running[id] = request
        task = request.task = self.loop.create_task(request.run())
        self.tasks.add(task)
        self.marks[(id & self.mask) * frames.MARK_STRIDE] = id

    def _refuse(self, id):
        self.complain(id, LOST)
        payload = self.heads.head("500 Internal Server Error", [("Content-Length", "0")], 0)[0]
        self.streams.put(sized(HEAD, END, id & self.mask, id, payload))

    def finish(self, id):
        """Notes that the front has all of a request's answer."""
        full = len(self.running) == self.most
        self.running.pop(id, None)
        if full:
            self.requests.resume()

    def left(self, task):
        """Notes that a call of the application has ended."""
        self.tasks.discard(task)
        if self._retired and not self.tasks:
            self._end()

    def _retire(self, error):
        self._retired, self.error = True, error
        if error is not None:
            for request in list(self.running.values()):
                request.cancel(frames.GONE)
            self._end()
        elif not self.tasks:
            self._end()

    def _end(self):
        if not self.ended.done():
            self.ended.set_result(None)

    def stop(self, reason):
        """Has the front retire the worker: the application wants to exit."""
        self.stopped = reason
        if isinstance(reason, SystemExit):
            text = "the application called sys.exit(%s)" % (
                "" if reason.code is None else ascii(reason.code))
        else:
            text = type(reason).__name__
        self.channel.leave(text)

    def _dispatch(self, kind, flags, id, payload):
        request = self.running.get(id)
        if request is None:
            return  # it has ended
        if kind == frames.CREDIT:
            request.grant(LENGTH.unpack(payload)[0])
        elif kind == frames.CANCEL:
            if payload[0] == frames.LATE:
                self._dump(request)
            request.cancel(payload[0])
        elif kind == frames.MESSAGE:
            request.message(payload, flags)
        elif kind == frames.CLOSE:
            request.closed(payload)

    def answer(self, id, status, headers, body):
        """Sends a whole answer; False where its head is not one that was sent before."""
        try:
            known = self.whole.get((status, len(body), *headers))
        except TypeError:
            return False
        if known is None:
            return False
        self._send_whole(id, known, body)
        return True

    def send_head(self, id, head, body, end):
        """Sends a head, as Heads makes it, with the body bytes that follow it."""
        payload = head[0]
        framed = SIZED.size + len(payload) + len(body)
        if end and framed <= self.room:
            self._send_whole(id, self._writer(payload, len(body)), body)
        else:
            self.streams.put(sized(HEAD, end, id & self.mask, id, payload, body))

    def remember(self, status, headers, head, size):
        """Remembers the head of whole answers of that size, which fit the lane."""
        if head[1] != size or head[2] or SIZED.size + len(head[0]) + size > self.room:
            return
        try:
            hash((status, *headers))
        except TypeError:
            return  # fields that are lists
        if len(self.whole) >= MOST_HEADS:
            self.whole.clear()
        self.whole[(status, size, *headers)] = self._writer(head[0], size)

    @staticmethod
    def _writer(payload, size):
        head = LENGTH.pack(len(payload)) + payload
        return frames.entry(len(head), size), SIZED.size + len(payload) + size, head

    def _send_whole(self, id, whole, body):
        write, framed, head = whole
        line = id & self.mask
        prefix = PREFIX.pack(framed, HEAD, END, line)
        wake = self.channel.lane.answer(write, prefix, id, head, body)
        if wake is None:
            self.streams.put_first(prefix[LENGTH.size:] + LENGTH.pack(id) + head + body)
        elif wake:
            wake_front(self.channel)

    def status(self, code):
        """Returns a status line's text."""
        return STATUSES.get(code) or "%d" % code

    def request_id(self, id):
        """Returns the front's $request_id of the request."""
        import hashlib
        return hashlib.sha256(bytes.fromhex(self.key) + id.to_bytes(4, "little")).hexdigest()[:32]

    def complain(self, id, text):
        """Has the front log what the application did wrong in this request."""
        try:
            self.channel.report(frames.LOG, ("error", frames.plain(text)), id & self.mask, id)
        except ChannelClosed:
            pass  # of which the loop hears

    def failed(self, request, error):
        """Logs an exception that the application let out."""
        scope, more = request.scope, request.more or {}
        environ = {"REQUEST_METHOD": scope.get("method", "WEBSOCKET"),
                   "PATH_INFO": str(scope.get("path")), "REQUEST_ID": more.get("request_id")}
        failure.write(error, environ, lambda: self.request_id(request.id))

    def _dump(self, late):
        """Writes the stacks of all tasks, for a request that is past its time."""
        lines = ["stacks of all tasks of this worker's event loop:\n"]
        by_task = {request.task: request for request in self.running.values()}
        for task in asyncio.all_tasks(self.loop):
            request = by_task.get(task)
            if request is not None:
                what = "request %s, %s, %.1f s old%s" % (
                    self.id_of(request), request.line(), time.monotonic() - request.began,
                    ", which is past timeout" if request is late else "")
            else:
                what = getattr(task, "get_name", lambda: "a task")()
            lines.append("%s\n" % what)
            lines += stack(task)
        text = "".join(lines).encode("utf-8", "backslashreplace")
        try:
            os.write(frames.DIAGNOSTICS_FD, text[:60000])
        except OSError:
            pass

    def id_of(self, request):
        """Returns the $request_id of a request."""
        return (request.more or {}).get("request_id") or self.request_id(request.id)


def stack(task):
    """Returns lines about what a task waits in: one for each await, without ours."""
    lines = []
    awaited = task.get_coro() if hasattr(task, "get_coro") else None
    while awaited is not None and len(lines) < DEEPEST:
        for kind in ("cr", "ag", "gi"):  # coroutine, asynchronous generator, generator
            if hasattr(awaited, kind + "_frame"):
                break
        else:
            break
        part = getattr(awaited, kind + "_frame")
        if part is not None and not part.f_code.co_filename.startswith(failure.OURS):
            lines.append('  File "%s", line %d, in %s\n' % (
                part.f_code.co_filename, part.f_lineno, part.f_code.co_name))
        awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else kind + "_await", None)
    return lines
