"""ASGI (version 3.0): runs an application's requests in one event loop.

The front sends at most so many requests as run at a time. Each is a task, which ends with the
call of the application; what the application does after its response goes on. Everything that
an application sends is checked: what leaves here is well formed.
"""

import asyncio
import os
import threading
import time
from http.client import responses

from . import callables, failure, frames
from .channel import ChannelClosed, ChannelLost
from .frames import END, HEAD, LENGTH, PREFIX, SIZED
from .heads import Heads
from .request import Request
from .scopes import Scopes
from .streams import LARGEST, Requests, Streams, sized, wake_front
from .websocket import WebSocket

DEEPEST = 64  # lines of a task's stack
MOST_STACKS = 60000  # bytes of the stacks of all tasks
MOST_HEADS = 256  # whole heads remembered
OBEYS = 2  # seconds that a call has to end once it was cancelled
STATUSES = {code: "%d %s" % (code, reason) for code, reason in responses.items()}
LOST = ("the request's descriptors were lost on the way to this worker: "
        "has the application used up its open files (ulimit -n)?")


def new_loop(name):
    """Returns a new event loop of that kind; raises ImportError."""
    if name != "asyncio":
        try:
            import uvloop

            return uvloop.new_event_loop()
        except ImportError:
            if name == "uvloop":
                raise
    return asyncio.new_event_loop()


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
        self.scopes = Scopes(settings["log_level"] == "debug", settings["stripped"],
                             callables.wants_bare_paths())
        self.room = channel.lane.room if channel.lane else 0  # bytes of a frame in the lane
        self.index = 0  # of a slot, for Heads
        self.heads = Heads(self, LARGEST)
        # (status, size, *headers) -> (write, length of the frame, head); None: it was seen once
        self.whole = {}
        self.running = {}  # id -> a request that the front waits for
        self.calls = set()  # of the application, with what goes on after an answer
        self.late = []  # requests that are past timeout
        self.ended = None  # a future: nothing runs and nothing will come
        self.stopped = None  # SystemExit or KeyboardInterrupt of the application
        self.error = None  # why the channel has ended
        self.retired = False
        self.thread = threading.get_ident()
        self._unwoken = False  # the front, in the midst of a deep recursion
        self._descriptors = descriptors()
        self.streams = Streams(loop, self._dispatch, self.lose)
        self.requests = Requests(
            loop, channel, self._start, self._has_room, self._retire, self.lose)
        os.register_at_fork(after_in_child=self._abandon)

    def serve(self):
        """Serves from now on, until the future that it returns is done: the front has retired the
        worker, and all that runs has ended. It is no task, which the application might cancel."""
        self.ended = self.loop.create_future()
        self.requests.begin()
        return self.ended

    async def finish_tasks(self, seconds):
        """Ends the tasks that the application has left, as asyncio.run() does; some may not end
        in time."""
        left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=seconds)
        await self.loop.shutdown_asyncgens()
        await self.streams.drained()

    def beat(self, longest):
        """Says from now on that the loop turns, and how late it was."""
        pause = min(longest / 4, 1) if longest else 1
        marks, loop = self.marks, self.loop

        def beat(due):
            now = loop.time()
            marks[frames.LAG] = min(int(max(now - due, 0) * 1000), 0xffffffff)
            marks[frames.HEARTBEAT] = marks[frames.HEARTBEAT] + 1 & 0xffffffff
            for request in list(self.running.values()):
                request.overdue()
            if self._unwoken:
                self._unwoken = False
                wake_front(self.channel)
            if descriptors() == self._descriptors:
                loop.call_at(now + pause, beat, now + pause)
            else:  # the loop hears nothing of that
                self.lose(ChannelLost("the channel to the server is another file"))

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
        self.calls.add(request)
        self.marks[(id & self.mask) * frames.MARK_STRIDE] = id
        request.task = self.loop.create_task(request.run())  # an eager one runs here

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

    def settle(self, request):
        """Takes up what a call that has failed may have left, in the midst of any function: the
        recursion of an application may end in ours."""
        if self.running.get(request.id) is request and request.ended:
            del self.running[request.id]
        self.requests.resume()
        self.streams.flush()

    def left(self, request):
        """Notes that a call of the application has ended."""
        self.calls.discard(request)
        if self.retired and not self.calls:
            self._end()

    def _retire(self):
        self.retired = True
        if not self.calls:
            self._end()

    def end_calls(self):
        """Cancels the calls that keep a retired worker from its end."""
        for request in list(self.calls):
            self.complain(request.id, "%s has not ended, and is cancelled: its worker ends"
                          % request.line())
            if request.task is not None:
                request.task.cancel()

    def lose(self, error):
        """Ends serving: the front has gone, or is not to be understood."""
        if self.error is None:
            self.error = error
            for request in list(self.running.values()):
                request.cancel(frames.GONE)
            self._end()

    def _abandon(self):
        # A fork that returns into the loop would go on in its parent's place.
        self.streams.abandon()
        if threading.get_ident() == self.thread:
            self.loop.call_soon(os._exit, 0)

    def _end(self):
        if self.ended.done():
            return
        if self.error is not None:
            self.ended.set_exception(self.error)
        else:
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
        elif kind == frames.CANCEL and payload[0] == frames.LATE:
            if not self.late:
                self.loop.call_soon(self._end_late)
            self.late.append(request)
        elif kind == frames.CANCEL:
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

    def send_head(self, id, head, body, end, lane=True):
        """Sends a head, as Heads makes it, with the body bytes that follow it. The lane may
        overtake what was put before."""
        payload = head[0]
        framed = SIZED.size + len(payload) + len(body)
        if lane and end and framed <= self.room:
            self._send_whole(id, self._writer(payload, len(body)), body)
        else:
            self.streams.put(sized(HEAD, end, id & self.mask, id, payload, body))

    def remember(self, status, headers, head, size):
        """Remembers the head of whole answers of that size, which fit the lane."""
        if head[1] != size or head[2] or SIZED.size + len(head[0]) + size > self.room:
            return
        key = status, size, *headers
        try:
            again = key in self.whole
        except TypeError:
            return  # fields that are lists
        if not again and len(self.whole) >= MOST_HEADS:
            self.whole.clear()
        self.whole[key] = self._writer(head[0], size) if again else None

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
            try:
                wake_front(self.channel)
            except RecursionError:
                self._unwoken = True  # the answer is there: beat() does it

    def status(self, code):
        """Returns a status line's text."""
        return STATUSES.get(code) or "%d" % code

    def request_id(self, id):
        """Returns the front's $request_id of the request."""
        return frames.request_id(self.key, id)

    def complain(self, id, text):
        """Has the front log what the application did wrong in this request."""
        try:
            self.channel.report(frames.LOG, ("error", frames.plain(text)), id & self.mask, id)
        except ChannelClosed:
            pass  # of which the loop hears

    def failed(self, request, error):
        """Logs an exception that the application let out."""
        environ = {"REQUEST_METHOD": request.method, "PATH_INFO": request.path,
                   "REQUEST_ID": (request.more or {}).get("request_id")}
        failure.write(error, environ, lambda: self.request_id(request.id), "uvicorn.error")

    def _end_late(self):
        """Ends the requests that are past their time, once the stacks of all tasks are written."""
        late, self.late = self.late, []
        self._dump(late)
        for request in late:
            request.cancel(frames.LATE)
        self.loop.call_later(OBEYS, self._give_up, late)

    def _give_up(self, late):
        for request in late:
            if request in self.calls:
                reason = "%s goes on %d s after it was cancelled (asyncio.CancelledError)" % (
                    request.line(), OBEYS)
                self.complain(request.id, reason)
                request.fail(reason)  # others may run in its place

    def _dump(self, late):
        text, past = "stacks of all tasks of this worker's event loop:\n", set(late)
        by_task = {request.task: request for request in self.running.values()}
        tasks = asyncio.all_tasks(self.loop)
        for task in sorted(tasks, key=lambda task: by_task.get(task) not in past):
            request = by_task.get(task)
            if request is not None:
                what = "request %s, %s, %.1f s old%s" % (
                    self.id_of(request), request.line(), time.monotonic() - request.began,
                    ", which is past timeout" if request in past else "")
            else:
                what = getattr(task, "get_name", lambda: "a task")()
            text += "%s\n%s" % (what, "".join(stack(task)))
            if len(text) > MOST_STACKS:
                break
        try:
            os.write(frames.DIAGNOSTICS_FD,
                     text.encode("utf-8", "backslashreplace")[:MOST_STACKS])
        except OSError:
            pass

    def id_of(self, request):
        """Returns the $request_id of a request."""
        return (request.more or {}).get("request_id") or self.request_id(request.id)


def descriptors():
    """Returns what the descriptors of the channels are, None where they are closed."""
    try:
        held = os.fstat(frames.CHANNEL_FD), os.fstat(frames.BELL_FD)
    except OSError:
        return None
    return [(status.st_dev, status.st_ino) for status in held]


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
