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
        self.lock = allocate_lock()  # locked until it rings; who may be interrupted waits for it
        self.lock.acquire()

    def wait(self, seconds=-1):
        """Waits for a ring, that long at most. Handlers of signals are put off meanwhile."""
        self.lock.acquire(True, seconds)

    def ring(self):
        try:
            self.lock.release()
        except RuntimeError:
            pass  # it rings already


def unfit():
    """Returns which package has replaced the threads, if its locks serve one thread alone."""
    start = _thread.start_new_thread
    package = start.__module__.partition(".")[0]
    return None if start is start_new_thread or package == "gevent" else package


def start(name, run, *arguments):
    """Starts a thread, for which nothing waits when the process ends."""
    if _thread.start_new_thread is start_new_thread:
        threading.Thread(target=run, args=arguments, name=name, daemon=True).start()
    else:  # threading's would be a greenlet
        start_new_thread(run, arguments)
