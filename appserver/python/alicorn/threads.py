"""The worker's threads. They are the system's, also where the application has replaced those of
the standard library by greenlets at its import, as gevent's and eventlet's monkey patches do:
greenlets of the main thread would never run, as it waits for the system's. gevent's locks work
between threads of the system, eventlet's do not."""

import _thread
import threading
from _thread import allocate_lock, start_new_thread


class Native:
    """A thread of the system that the threading module does not know."""

    def __init__(self, run, arguments):
        self._ended = False
        self._runs = allocate_lock()
        self._runs.acquire()
        start_new_thread(self._run, (run, arguments))

    def is_alive(self):
        """Returns whether the thread has not ended."""
        return not self._ended

    def join(self, seconds):
        """Returns once the thread has ended, or after that time. Handlers of signals may
        interrupt it."""
        if not self._ended and self._runs.acquire(True, seconds):
            self._runs.release()

    def _run(self, run, arguments):
        try:
            run(*arguments)
        finally:
            self._ended = True
            self._runs.release()


def unfit():
    """Returns which package has replaced the threads, if its locks serve one thread alone."""
    start = _thread.start_new_thread
    package = start.__module__.partition(".")[0]
    return None if start is start_new_thread or package == "gevent" else package


def start(name, run, *arguments):
    """Starts a thread, for which nothing waits when the process ends, and returns it."""
    if _thread.start_new_thread is not start_new_thread:
        return Native(run, arguments)
    thread = threading.Thread(target=run, args=arguments, name=name, daemon=True)
    thread.start()
    return thread
