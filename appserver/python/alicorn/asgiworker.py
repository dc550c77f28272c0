"""The worker process of an ASGI application: one event loop in the main thread."""

import asyncio

from . import callables, failure, logs
from .asgi import Server, new_loop
from .channel import ChannelLost
from .handlers import interruptible
from .lifespan import Lifespan
from .loader import LoadError
from .worker import Worker, exit_lost, exit_now


class AsgiWorker(Worker):
    """One process's run: an event loop that serves until the front retires it."""

    def _prepare(self):
        # The application may change its loggers, and what it makes of the loop when it is imported
        # belongs to the one it runs in.
        logs.install_uvicorn(self.settings["log_level"])
        try:
            self.loop = new_loop(self.settings["loop"])
        except ImportError:
            raise LoadError("there is no uvloop for this interpreter: install it, or say "
                            "\"loop auto\", which uses it where it is there") from None
        asyncio.set_event_loop(self.loop)

    def _open(self, application):
        settings = self.settings
        asyncio.set_event_loop(self.loop)  # the import may have run another
        application = callables.single(application)
        self.lifespan = Lifespan(application, settings["lifespan"], self.loop)
        self.loop.run_until_complete(self.lifespan.start())
        self.server = Server(application, self.channel, settings, self.loop)
        if self.lifespan.supported:
            self.server.scopes.state = self.lifespan.state

    def _terminate(self, number, frame):
        # The first signal asks to be retired. What runs then is cancelled by one that comes later.
        retired = self.server.retired
        super()._terminate(number, frame)
        if retired and not self.channel.abandoned:
            self.loop.call_soon_threadsafe(self.server.end_calls)

    def _start(self):
        self.server.beat(self.settings["heartbeat"] / 1000)

    def run(self):
        """Announces the application and serves until retired; returns the exit code, as
        sys.exit() takes it."""
        self.handlers.serving = True
        self._announce()
        server, graceful = self.server, self.settings["graceful"] / 1000
        try:
            self._complete(server.serve())
            self._complete(server.streams.drained())
        except ChannelLost as error:
            if not self.channel.abandoned:
                exit_lost(error)
        if self.channel.abandoned:
            exit_now(self.code)
        if isinstance(server.stopped, SystemExit):
            self.code = server.stopped.code
        wrong = self._complete(self.lifespan.stop(graceful))
        if wrong:
            logs.print_raw(wrong.rstrip("\n") + "\n")
        self._complete(server.finish_tasks(graceful))
        server.streams.close()
        self.handlers.serving = False
        return self.code

    @interruptible
    def _complete(self, work):
        """Runs the loop until work has ended, and returns what that returns. A loop that ends
        before goes on: by sys.exit() in another task, by loop.stop(), or because a signal's handler
        has raised an exception while the loop itself was at work."""
        work = asyncio.ensure_future(work, loop=self.loop)
        while True:
            try:
                return self.loop.run_until_complete(work)
            except (SystemExit, KeyboardInterrupt) as stop:
                if work.done():
                    raise
                self._leave(stop)
            except RuntimeError:
                if work.done() or self.channel.abandoned:
                    raise
                self.channel.leave("the application has stopped the event loop")
            except BaseException as error:
                if work.done() or self.channel.abandoned:
                    raise
                failure.tell("an exception has ended the event loop", error, "uvicorn.error")
                self.channel.leave("an exception has ended the event loop")
