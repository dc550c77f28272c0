"""The worker process: boot, threads, signals, exit code.

With one thread the application runs in the main thread, so that signals can interrupt it;
with more the main thread waits for them and handles signals.
"""

import faulthandler
import gc
import os
import signal
import sys
from time import sleep  # the system's, whatever the application patches

from . import failure, frames, journal, loader, logs, mount, readiness, statics, threads, wsgi
from .channel import LOOK, Channel, ChannelClosed, ChannelLost
from .frames import ProtocolError
from .handlers import Handlers, interruptible
from .torn import Torn

BOOT_FAILED = 3  # exit code

# A block of this many bytes is freed at the start. glibc's malloc then keeps up to twice as many
# free bytes at the end of its heap (mallopt(3), M_MMAP_THRESHOLD). By default it keeps 128 KiB, so
# that the system takes back the memory of each large body, and clears it anew for the next.
KEPT = 4 << 20


class Worker:
    """One process's run: slots that serve until the front retires them."""

    def __init__(self, channel, settings):
        self.channel = channel
        self.settings = settings
        self.code = 0
        self.servers = []  # of slots; more than one have threads of their own
        self.ended = []  # those whose threads have ended
        self.end = threads.Bell()  # rings when one has
        self.ready = None  # what is announced, until it is
        self.handlers = Handlers(self._leave)

    def boot(self):
        """Imports the application; raises loader.LoadError."""
        settings = self.settings
        files = journal.Journal(self.channel, settings.get("directory") or os.getcwd())
        files.start()
        self.handlers.install()
        self._prepare()
        found = loader.load(settings)
        for finding in readiness.complete(found.application):
            self.channel.remark(finding)
        served, notes = [], []
        if settings.get("report_static") and found.kind == "wsgi":
            served, notes = statics.report(found.application)
        self._open(found.application)
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGQUIT:
            if signal.getsignal(number) in (signal.SIG_DFL, nothing):
                signal.signal(number, self._terminate)
        files.announce()
        bytes(KEPT)
        gc.collect()
        gc.freeze()  # what the import made stays: no later collection need walk it
        self._start()
        self.ready = {
            "pid": os.getpid(),
            "version": "%d.%d.%d" % sys.version_info[:3],
            "executable": sys.executable,
            "threads": settings["threads"],
            "app": frames.plain(found.name, frames.SENTENCE),
            "kind": found.kind,
            "framework": found.framework,
            "static": served,
            "notes": notes,
        }

    def _prepare(self):
        """Makes what is to be there when the application is imported."""

    def _open(self, application):
        """Makes what runs the application."""
        settings = self.settings
        application = mount.mounted(application, os.environ.get("SCRIPT_NAME", ""))
        slots = self.channel.slots(settings["threads"], settings["window"])
        self.servers = [wsgi.Server(application, slot, settings) for slot in slots]

    def _start(self):
        """Starts the threads; raises loader.LoadError."""
        if len(self.servers) > 1:
            package = threads.unfit()
            if package:
                raise loader.LoadError(
                    "its import has replaced Python's threads by %s's, whose locks do not work "
                    "between threads of a worker: give each worker one thread, and run more workers" % package)
            self._start_threads()
        if self.settings.get("heartbeat"):
            self._start_heartbeat(self.servers[0].marks, self.settings["heartbeat"] / 1000)

    def run(self):
        """Announces the application and serves until retired; returns the exit code, as
        sys.exit() takes it."""
        self.handlers.serving = True
        self._announce()
        if len(self.servers) > 1:
            self._await_threads()
        else:
            self._serve(self.servers[0])
        self.handlers.serving = False
        return self.code

    def _await_threads(self):
        while True:
            try:
                self._join()
                return
            except (SystemExit, KeyboardInterrupt) as stop:  # from the application's handler
                self._leave(stop)
            except ChannelClosed:
                raise
            except BaseException as error:
                failure.tell("the handler of a signal has failed", error)
                self.channel.leave("the handler of a signal has failed")

    @interruptible
    def _join(self):
        # Thread.join() takes a thread for one that has ended if a handler interrupts it.
        while len(self.ended) < len(self.servers):
            self.end.lock.acquire(True, LOOK)

    def _announce(self):
        ready, self.ready = self.ready, None
        if ready:
            self.channel.report(frames.READY, ready)

    def _start_threads(self):
        for server in self.servers:
            threads.start("alicorn-%d" % server.slot.index, self._serve_to_end, server)

    def _serve_to_end(self, server):
        try:
            self._serve(server)
        finally:
            self.ended.append(server)
            self.end.ring()

    @staticmethod
    def _start_heartbeat(page, longest):
        pause = min(longest / 4, 1)

        def beat():
            while True:
                page[frames.HEARTBEAT] = page[frames.HEARTBEAT] + 1 & 0xffffffff
                sleep(pause)

        threads.start("alicorn-heartbeat", beat)

    def _serve(self, server):
        try:
            server.run()
        except ChannelLost as error:
            if not self.channel.abandoned:
                # The other threads may wait on the channel for ever: closing wakes nobody.
                exit_lost(error)
        except ChannelClosed:
            pass
        except SystemExit as stop:
            self._leave(stop)
        except Torn as error:
            server.slot.complain(server.marks[server.mark], "%s; this worker ends" % error)
            self._fail()
        except BaseException as error:
            # A defect of the worker or the front, or an exception between two requests: without
            # this slot it is of no use.
            sys.excepthook(*sys.exc_info())
            if isinstance(error, ProtocolError):
                exit_now(1)
            self._fail()
        if self.channel.abandoned:
            exit_now(self.code)

    def _fail(self):
        """Ends the process once its other slots have done what they have."""
        if len(self.servers) == 1:
            exit_now(1)
        self.code = 1
        self.channel.leave("a slot of it has failed")

    def _leave(self, stop):
        if isinstance(stop, SystemExit):
            self.code = stop.code
            reason = "the application called sys.exit(%s)" % (
                "" if stop.code is None else ascii(stop.code))
        else:
            reason = type(stop).__name__
        if not self.channel.abandoned:
            self.channel.leave(reason)

    def _terminate(self, number, frame):
        if not self.channel.abandoned:
            self.channel.leave(signal.Signals(number).name)
            return
        signal.signal(number, signal.SIG_DFL)  # a fork dies of it as it would have
        os.kill(os.getpid(), number)


def nothing(number, frame):
    """The handler of a signal that does nothing here."""


def main():
    """Runs ``worker NAME`` to its end; does not return."""
    # A hangup reloads the server, and may be sent to all of its processes. An interrupt must not fail
    # the import. Who is started from here gets the defaults: an ignored signal would stay ignored. So
    # do those that a shell has ignored for what it starts in the background.
    signal.signal(signal.SIGHUP, nothing)
    signal.signal(signal.SIGINT, nothing)
    for number in signal.SIGTERM, signal.SIGQUIT, signal.SIGWINCH:
        signal.signal(number, signal.SIG_DFL)
    channel = Channel()
    settings = channel.settings()
    faulthandler.register(settings["dump_signal"], file=frames.DIAGNOSTICS_FD, all_threads=True,
                          chain=False)
    logs.install(settings["log_level"])
    worker = kind_of(settings)(channel, settings)
    try:
        worker.boot()
        code = worker.run()
    except ChannelClosed:
        exit_now(0)
    except loader.LoadError as error:
        channel.report(frames.FAILED, {"message": frames.plain(str(error), frames.SENTENCE),
                                       "traceback": frames.plain(error.traceback)})
        exit_now(BOOT_FAILED)
    sys.exit(code)


def kind_of(settings):
    """Returns the class of the worker that the settings describe. Its modules are imported here,
    before the application, which may have modules of our names."""
    if settings["kind"] != "asgi":
        return Worker
    from .asgiworker import AsgiWorker

    return AsgiWorker


def exit_lost(error):
    """Ends a process whose application has closed the descriptors that it serves with."""
    text = "the application has closed descriptors of its worker, which cannot go on: %s\n" % error
    try:
        os.write(2, text.encode())
    except OSError:
        pass  # that one it has closed too
    exit_now(1)


def exit_now(code):
    """Ends the process without waiting for the application's threads."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # a closed stream has nothing to lose
    if code is not None and not isinstance(code, int):
        code = 1
    os._exit((code or 0) & 0xff)
