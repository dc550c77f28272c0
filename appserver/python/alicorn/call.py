"""A call of an ASGI application: what requests and WebSockets have in common."""

import asyncio
import errno
import time
from collections import deque

from . import frames
from .handlers import calls
from .streams import frame, wake

BROKEN = 3  # why a call is over, beside frames.GONE and the like: nobody knows what it has sent


class Wrong(RuntimeError):
    """The application has sent what the specification does not allow."""


class Disconnected(OSError):
    """The client has gone: what is sent reaches nobody."""

    def __init__(self):
        super().__init__(errno.EPIPE, "the client has gone")


def follows_disconnect(error):
    """Whether an exception says no more than that send() has raised Disconnected."""
    waiting, seen = [error], set()
    while waiting:
        error = waiting.pop()
        if isinstance(error, Disconnected):
            return True
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        group = getattr(error, "exceptions", None)
        if isinstance(group, tuple):
            return all(map(follows_disconnect, group))
        if "Disconnect" in type(error).__name__:  # as Starlette's ClientDisconnect
            waiting += error.__cause__, error.__context__
    return False


class Call:
    """A call of the application: what requests and WebSockets have in common."""

    __slots__ = ("server", "id", "scope", "path", "more", "task", "began", "credit", "gone",
                 "told", "waiter", "sender", "turns", "ended")

    def __init__(self, server, id, scope, more):
        self.server, self.id, self.scope, self.more = server, id, scope, more
        self.path = scope["path"]  # which the application may replace
        self.task = None
        self.credit = server.window
        self.gone = None  # why the front has cancelled it
        self.told = False  # of the end, by receive()
        self.waiter = None  # a future: receive() waits for an event
        self.sender = None  # a future: send() waits for credit
        self.turns = None  # futures, in a deque: send() of other tasks waits for that one
        self.ended = False  # the front has all of the answer
        self.began = time.monotonic()

    @calls
    async def run(self):
        """Calls the application, and ends its answer whatever happens."""
        server = self.server
        try:
            result = await server.application(self.scope, self.receive, self.send)
        except (SystemExit, KeyboardInterrupt) as reason:
            self.fail("the application wants to exit")
            server.stop(reason)
        except BaseException as error:
            try:
                if not self.left_by(error):
                    server.failed(self, error)
            finally:  # an exception of the application's own may be of any kind
                self.fail("the application failed after its response had begun"
                          if self.gone is None else self.why())
                server.settle(self)
        else:
            if result is not None:
                server.channel.remark("the application returned %s, where it is to return None"
                                      % type(result).__name__)
            self.returned()
        finally:
            server.left(self)

    def left_by(self, error):
        """Whether an exception of the application says no more than that the client has gone."""
        return self.gone is not None and (isinstance(error, asyncio.CancelledError)
                                          or follows_disconnect(error))

    def grant(self, size):
        """Takes credit for what may be sent."""
        self.credit += size
        wake(self.sender)

    def cancel(self, reason):
        """Notes that the front waits no longer."""
        if self.gone is None:
            self.gone = reason
        wake(self.waiter)
        wake(self.sender)
        if reason == frames.LATE and self.task is not None:
            self.task.cancel()

    async def pass_on(self, method, *arguments):
        """Has the event loop do what another thread asks for, which runs a loop of its own."""
        work = asyncio.run_coroutine_threadsafe(method(*arguments), self.server.loop)
        return await asyncio.wrap_future(work)

    async def rest(self):
        """Leaves others time, where an application does the same again and again without end."""
        if self.told:
            await asyncio.sleep(0)
        self.told = True

    async def turn(self):
        """Waits while the send() of another task waits for credit: it is in the midst of a
        message. Who waits goes on in its order, and one alone for each message: if all looked
        each time, n messages would cost n times n looks."""
        if self.turns is None:
            self.turns = deque()
        add = self.turns.append
        while self.sender is not None:
            place = self.server.loop.create_future()
            add(place)
            try:
                await place
            except BaseException:
                self._next_turn()
                raise
            add = self.turns.appendleft  # who was first remains it
        self._next_turn()

    def _next_turn(self):
        """Lets the next of those go on who wait for their turn; it looks once this one has sent
        its message, or waits for credit."""
        while self.turns:
            place = self.turns.popleft()
            if not place.done():  # else its task was cancelled
                place.set_result(None)
                return

    async def spend(self, size):
        """Waits until there is credit for size bytes; false: nobody wants them any more."""
        while self.credit < size and self.gone is None and not self.ended:
            self.sender = self.server.loop.create_future()
            try:
                await self.sender
            finally:
                self.sender = None
                self._next_turn()
        if self.gone is not None or self.ended:
            return False
        self.credit -= size
        return True

    async def event(self):
        """Waits until something has happened."""
        waiter = self.waiter
        if waiter is None or waiter.done():
            waiter = self.waiter = self.server.loop.create_future()
        await asyncio.shield(waiter)

    def put(self, kind, flags, payload=b""):
        """Sends a frame of this call."""
        self.server.streams.put(frame(kind, flags, self.id & self.server.mask, self.id, payload))

    def finish(self):
        """Notes that the front has all of the answer. Who has just sent the end sets ended before:
        in the midst of a deep recursion this call itself may fail."""
        self.ended = True
        self.server.finish(self.id)
        wake(self.waiter)
        wake(self.sender)

    def why(self):
        """Returns why nobody waits for the answer."""
        return {frames.LATE: "it was past its timeout",
                BROKEN: "a recursion of the application has ended in the midst of its answer",
                frames.ENDS: "its worker leaves"}.get(self.gone, "its client has gone")

    def line(self):
        """Returns the request's method and path, for people."""
        return "%s %s" % (self.method, self.path)

    def overdue(self):
        """Is called now and then while the front waits for the answer."""
