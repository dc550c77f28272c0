"""The worker's threads. They are the system's, also where the application has replaced those of
the standard library by greenlets at its import, as gevent's and eventlet's monkey patches do:
greenlets of the main thread would never run, as it waits for the system's. gevent's locks work
between threads of the system, eventlet's do not."""

import _thread
import threading
from _thread import allocate_lock, start_new_thread


class Bell:
    """One thread waits until another rings."""

    def __init__(self):
        self._lock = allocate_lock()
        self._lock.acquire()

    def wait(self, seconds=-1):
        """Waits for a ring, that long at most. Handlers of signals may interrupt it."""
        self._lock.acquire(True, seconds)

    def ring(self):
        try:
            self._lock.release()
        except RuntimeError:
            pass  # it rings already


class Native:
    """A thread of the system that the threading module does not know; one other joins it."""

    def __init__(self, run, arguments):
        self._alive = True
        self._end = Bell()
        start_new_thread(self._run, (run, arguments))

    def is_alive(self):
        return self._alive

    def join(self, seconds):
        self._end.wait(seconds)

    def _run(self, run, arguments):
        try:
            run(*arguments)
        finally:
            self._alive = False
            self._end.ring()


def unfit():
    """Returns which package has replaced the threads, if its locks serve one thread alone."""
    start = _thread.start_new_thread
    package = start.__module__.partition(".")[0]
    return None if start is start_new_thread or package == "gevent" else package


def start(name, run, *arguments):
    """Starts a thread, for which nothing waits when the process ends, and returns it."""
    if _thread.start_new_thread is not start_new_thread:  # threading's would be a greenlet
        return Native(run, arguments)
    thread = threading.Thread(target=run, args=arguments, name=name, daemon=True)
    thread.start()
    return thread
