"""The lifespan of an ASGI application: its start and its end (ASGI, "Lifespan Protocol")."""

import asyncio

from . import failure, logs
from .handlers import calls
from .loader import LoadError

STARTUP, RUNNING, SHUTDOWN, OVER = range(4)


class Lifespan:
    """The call of the application that lives as long as the worker."""

    def __init__(self, application, mode, loop):
        self.application, self.mode, self.loop = application, mode, loop
        self.state = {}
        self.phase = STARTUP
        self.supported = mode != "off"
        self.heard = False  # the application has asked for an event: it has a lifespan
        self.error = self.message = None
        self._events = asyncio.Queue()
        self._settled = None  # a future: the application has answered
        self._task = None

    async def start(self):
        """Waits for the start of the application; raises LoadError."""
        if self.mode == "off":
            return
        self._settled = self.loop.create_future()
        self._events.put_nowait({"type": "lifespan.startup"})
        self._task = self.loop.create_task(self._run())
        await self._settled
        if self.message is not None:
            raise LoadError("the application says that its startup has failed%s" % (
                ": " + self.message if self.message else ""),
                failure.text(self.error) if self.error else "")
        if self.error is not None:
            if self.mode == "on":
                raise LoadError("the application's lifespan failed: %s: %s" % (
                    type(self.error).__name__, self.error), failure.text(self.error))
            self.supported = False
            if self.heard:
                logs.print_raw("the application's lifespan has failed at its start; it goes on "
                               "without: " + failure.text(self.error))
        self.phase = RUNNING

    async def stop(self, seconds):
        """Has the application shut down, for so many seconds at most; returns what went wrong."""
        if self._task is None or self._task.done() or not self.supported:
            return None
        self.phase, self.message = SHUTDOWN, None
        self._settled = self.loop.create_future()
        self._events.put_nowait({"type": "lifespan.shutdown"})
        await asyncio.wait([self._settled], timeout=seconds)
        if not self._settled.done():
            return "the application's shutdown took longer than graceful_timeout"
        if self.message is not None:
            return "the application says that its shutdown has failed: %s" % self.message
        if self.error is not None:
            return "the application's shutdown failed: " + failure.text(self.error)
        return None

    @calls
    async def _run(self):
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"},
                 "state": self.state}
        try:
            await self.application(scope, self._receive, self._send)
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self.error = error
            if self.phase == RUNNING:
                logs.print_raw("the application's lifespan has ended: " + failure.text(error))
        finally:
            self._settle()

    async def _receive(self):
        self.heard = True
        return await self._events.get()

    async def _send(self, message):
        kind = message["type"]
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed"):
            allowed = self.phase == STARTUP
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            allowed = self.phase == SHUTDOWN
        else:
            allowed = False
        if not allowed or self._settled.done():
            raise RuntimeError("unexpected message %s of the lifespan" % kind)
        if kind.endswith("failed"):
            self.message = str(message.get("message", ""))
        self._settle()

    def _settle(self):
        if not self._settled.done():
            self._settled.set_result(None)
