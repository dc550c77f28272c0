"""Handlers of signals that the application sets.

Python runs such a handler in the main thread, between any two steps of what runs there, and the
handler may raise: timeouts are made so. In the midst of the worker's own code nobody would know
then what was sent. So a handler that comes there is put off: another thread sends the signal again
a little later. The frame that the signal has interrupted tells which code that is, so the worker's
code itself pays nothing. A handler runs at once while the application runs, and in the functions
that are decorated here: they wait, or call the application, and an exception may leave them.

signal.signal() is replaced for that, and what could show it: getsignal() returns what the
application has set. A signal that was put off comes before its handler is replaced, and one of a
timer does not come after that was stopped or set anew.
"""

import os
import signal
import sys
from _queue import SimpleQueue  # the system's, as in crumbs
from _thread import RLock, get_ident
from functools import wraps
from time import monotonic, sleep

from . import failure
from .threads import start_new_thread

SOON, LATE = 0.001, 0.016  # seconds until a signal is sent again; LATE where that is often too early
TIMERS = {signal.ITIMER_REAL: signal.SIGALRM, signal.ITIMER_VIRTUAL: signal.SIGVTALRM,
          signal.ITIMER_PROF: signal.SIGPROF}
ANYWHERE, CALLING, IDLE, OWN = range(4)
PLACES = {}  # code -> what it is for a handler; all other code of the worker is OWN


def interruptible(function):
    """A handler may leave this function at any line."""
    PLACES[function.__code__] = ANYWHERE
    return function


def calls(function):
    """A handler may leave this function while what it has called runs."""
    PLACES[function.__code__] = CALLING
    return function


def idles(function):
    """No request runs in this function: a handler may leave it only to end the worker."""
    PLACES[function.__code__] = IDLE
    return function


def is_own(code):
    """Whether code is the worker's."""
    return getattr(code, "co_filename", "").startswith(failure.OURS)


def place(frame):
    """Returns what runs: the nearest function of the worker's decides; ANYWHERE without one."""
    innermost = frame
    while frame is not None:
        code = frame.f_code
        found = PLACES.get(code)
        if found == CALLING:
            return OWN if frame is innermost else ANYWHERE
        if found is not None:
            return found
        if is_own(code):
            return OWN
        frame = frame.f_back
    return ANYWHERE


class Handler:
    """What is set in place of a handler of the application's."""

    __slots__ = ("own", "_handlers")

    def __init__(self, own, handlers):
        self.own, self._handlers = own, handlers

    @calls
    def __call__(self, number, frame):
        if self._handlers.hold(self.own, number, frame):
            return
        self.own(number, frame)


class Handlers:
    """The handlers of this process. All is for its main thread."""

    def __init__(self, interrupted):
        self.serving = False  # what an exception must not leave runs only then
        self._interrupted = interrupted  # is told of a KeyboardInterrupt while no request runs
        self._process, self._main = os.getpid(), get_ident()
        self._late = {}  # numbers of signals that were put off
        self._queue = SimpleQueue()  # the same, for the thread
        self._runs = False  # the thread
        # Held by who sends a signal, and by who changes its handler: after that it may end the process.
        self._lock = RLock()

    def install(self):
        """Replaces the functions of the module signal."""
        for number in range(1, signal.NSIG):
            before = signal.getsignal(number)
            if callable(before):  # set by what Python loads at its start
                signal.signal(number, self._wrapped(before))
        set_handler, get_handler = signal.signal, signal.getsignal
        alarm, set_timer = signal.alarm, signal.setitimer

        @wraps(set_handler)
        def replace(signalnum, handler):
            return self._replace(set_handler, signalnum, handler)

        @wraps(get_handler)
        def getsignal(signalnum):
            return bare(get_handler(signalnum))

        # What comes in these is the signal of the timer before, or already that of the new one.
        @wraps(alarm)
        @interruptible
        def set_alarm(seconds):
            self._forget(signal.SIGALRM)
            return alarm(seconds)

        @wraps(set_timer)
        @interruptible
        def setitimer(which, *times):
            self._forget(TIMERS.get(which))
            return set_timer(which, *times)

        signal.signal, signal.getsignal = replace, getsignal
        signal.alarm, signal.setitimer = set_alarm, setitimer

    @calls
    def _replace(self, set_handler, number, handler):
        if os.getpid() != self._process or get_ident() != self._main:
            return bare(set_handler(number, handler))
        with self._lock:
            came = self._late.pop(number, False)
            before = set_handler(number, self._wrapped(handler))
            came = self._late.pop(number, came)
        if came and type(before) is Handler:
            before.own(int(number), sys._getframe(2))
        return bare(before)

    @interruptible
    def _forget(self, number):
        if number in self._late and os.getpid() == self._process and get_ident() == self._main:
            with self._lock:  # it is not being sent now
                self._late.pop(number, None)

    def _wrapped(self, handler):
        # That of an event loop does nothing: Python tells the loop itself of each signal, which
        # would hear twice of one that is sent again. The worker's own may run anywhere.
        if not callable(handler) or type(handler) is Handler or (
                getattr(handler, "__name__", "") == "_sighandler_noop") or (
                is_own(getattr(handler, "__code__", None))):
            return handler
        return Handler(handler, self)

    def hold(self, own, number, frame):
        """Whether a handler is not to be called now: it has been, or will be."""
        if not self.serving or os.getpid() != self._process:
            return False
        found = place(frame)
        if found == IDLE:
            self._call_idle(own, number, frame)
            return True
        return found == OWN and self._put_off(number)

    def _call_idle(self, own, number, frame):
        try:
            own(number, frame)
        except SystemExit:
            raise
        except KeyboardInterrupt as stop:
            self._interrupted(stop)
        except BaseException as error:
            failure.tell("the handler of signal %d has failed while no request ran" % number, error)

    def _put_off(self, number):
        """Has the signal come again; false if that is impossible."""
        if not self._runs:
            self._runs = True
            try:
                start_new_thread(self._send_again, ())
            except RuntimeError:  # the system has no more threads
                self._runs = False
                return False
        if number not in self._late:
            self._late[number] = True
            self._queue.put(number)
        return True

    def _send_again(self):
        pause = SOON
        while True:
            began = monotonic()
            number = self._queue.get()
            pause = min(2 * pause, LATE) if monotonic() - began < pause else SOON
            sleep(pause)
            with self._lock:
                if self._late.pop(number, None):
                    signal.pthread_kill(self._main, number)


def bare(handler):
    """Returns a handler as the application has set it."""
    return handler.own if type(handler) is Handler else handler
