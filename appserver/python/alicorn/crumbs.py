"""Small blocks of a response that come in a crowd: many of them go out as one frame.

A frame costs this process a system call and the front a wake-up, for one byte as for thousands.
PEP 3333 lets a server that has not sent a block go on with the application if another thread
sends the block meanwhile. That thread is the Sender: it runs only while blocks are held, and
sends them after a PERIOD, whatever the application does by then. A block that comes alone, or
among few, is sent before the application goes on.
"""

from _thread import allocate_lock, start_new_thread  # the system's, whatever gevent patches later
from time import monotonic, sleep

PERIOD = 0.001  # seconds; how long a block is held
FEW = 16  # blocks in a period that are sent at once, each on its own
SMALL = 1024  # bytes; a larger block is not held
MOST = 16384  # bytes that are held


class Sender:
    """The thread that sends what the Crumbs of a process hold."""

    def __init__(self):
        self.lock = allocate_lock()  # guards what is held, and is held while that is sent
        self._due = []
        self._runs = False

    def expect(self, crumbs):
        """Has crumbs sent after a period; false if that is impossible. The caller holds the lock."""
        self._due.append(crumbs)
        if not self._runs:
            try:
                start_new_thread(self._run, ())
            except RuntimeError:  # the system has no more threads
                self._due.clear()
                return False
            self._runs = True
        return True

    def _run(self):
        while True:
            sleep(PERIOD)
            with self.lock:
                due, self._due = self._due, []
                self._runs = bool(due)
                if not due:
                    return
                for crumbs in due:
                    crumbs.send_late()

    def abandon(self):
        """Forgets everything, in a fork: there is no thread, and the parent's may hold the lock."""
        self.__init__()


class Crumbs:
    """The blocks that one slot holds. All but send_late() is for the slot's thread."""

    def __init__(self, sender, send):
        self.sender = sender
        self.late = False  # there may be blocks that were not sent
        self._send = send  # takes a frame
        self._blocks = []
        self._size = 0
        self._header = None
        self._began = 0.0  # the period
        self._count = 0  # of the blocks in it

    def hold(self, header, block):
        """Takes a block, to be sent in a frame that begins with header; false: the caller sends
        it at once, behind rest()."""
        now = monotonic()
        age = now - self._began
        if age >= PERIOD:
            crowd = self._count > FEW and age < 2 * PERIOD
            self._count = FEW if crowd else 0
            self._began = now
        self._count += 1
        if self._count <= FEW or len(block) > SMALL:
            return False
        with self.sender.lock:
            self.late = True
            if not self._blocks and not self.sender.expect(self):
                return False
            self._blocks.append(block)
            self._size += len(block)
            self._header = header
            if age >= PERIOD or self._size >= MOST:  # the thread may wait for the interpreter
                self._send_all()
        return True

    def rest(self):
        """Returns the bytes that are held, for the caller to send now."""
        with self.sender.lock:
            self.late = False
            return self._take()

    def send_late(self):
        """Sends what is held. The caller holds the sender's lock."""
        try:
            self._send_all()
        except Exception:
            pass  # the front has gone, which the slot's thread learns when it sends or waits

    def _send_all(self):
        if self._blocks:
            self._send(self._header + self._take())

    def _take(self):
        data = b"".join(self._blocks)
        self._blocks.clear()
        self._size = 0
        return data
