"""Small blocks of a response that come in a crowd: many of them go out as one frame.

A frame costs this process a system call and the front a wake-up, for one byte as for thousands.
PEP 3333 lets a server that has not sent a block go on with the application if another thread
sends the block meanwhile. That thread is the Sender: it sends what is held after a PERIOD,
whatever the application does by then. A block that comes alone, or among few, is sent before the
application goes on.

An exception may come anywhere (RecursionError, or one that another thread raises here). So that it
loses no block, repeats none, and leaves none behind for the next response, a slot gives a block
away in one step that nothing interrupts, with the header of its own response, and shares no lock
and no count with the Sender.
"""

from _queue import SimpleQueue  # the system's, whatever gevent patches, as are those below
from _thread import allocate_lock, start_new_thread
from time import monotonic

from .threads import Bell

PERIOD = 0.001  # seconds; how long a block is held
FEW = 16  # blocks in a period that are sent at once, each on its own
SMALL = 1024  # bytes; a larger block is not held
MOST = 16384  # bytes that are held, and sent as one frame
FULL = 2  # what hold() returns when rest() is due; true, as it has taken the block


class Sender:
    """The thread that sends what a process holds."""

    def __init__(self, send, failed=lambda error: None):
        self.abandoned = False  # nothing more is sent
        self._send = send  # takes a frame
        self._failed = failed  # takes an exception; returns if there is nobody to send to
        self._given = SimpleQueue()  # headers and blocks; or None and the bell of a slot that waits
        self._bell = Bell()  # rings if a slot waits
        self._runs = False
        self._only = allocate_lock()  # held by the thread that runs

    def start(self):
        """Has a thread run; false if that is impossible."""
        if not self._runs:
            try:
                start_new_thread(self._run, ())
            except RuntimeError:  # the system has no more threads
                return False
            self._runs = True
        return True

    def give(self, header, block):
        """Has a block sent after a period, in a frame that begins with header."""
        self._given.put((header, block))

    def flush(self):
        """Returns when everything that this thread gave has been sent."""
        sent = Bell()
        self._given.put((None, sent))
        self._bell.ring()
        sent.wait()

    def abandon(self):
        """Forgets everything, in a fork, where there is no thread."""
        self.__init__(self._send, self._failed)
        self.abandoned = True

    def _run(self):
        with self._only:  # start() can be interrupted after it has started a thread
            while True:
                waiting = []
                try:
                    first = self._given.get()
                    self._bell.wait(PERIOD)
                    self._send_all(first, waiting)
                except BaseException as error:
                    self._failed(error)
                for sent in waiting:
                    sent.ring()

    def _send_all(self, given, waiting):
        blocks = {}  # by header: those of a response
        while given:
            header, block = given
            if header is None:
                waiting.append(block)
            else:
                blocks.setdefault(header, []).append(block)
            given = None if self._given.empty() else self._given.get()
        for header, parts in blocks.items():
            self._send_blocks(header, parts)

    def _send_blocks(self, header, parts):
        try:
            data = b"".join(parts)
        except MemoryError:  # one by one they need little of it
            for part in parts:
                self._send(header + part)
            return
        for start in range(0, len(data), MOST):
            self._send(header + data[start:start + MOST])


class Crumbs:
    """Which blocks of one slot are held. All of it is for the slot's thread."""

    def __init__(self, sender):
        self.held = False  # there may be blocks that were not sent
        self._sender = sender
        self._size = 0  # bytes since rest(), which are held at most
        self._began = 0.0  # the period
        self._count = 0  # of the blocks in it

    def hold(self, header, block):
        """Takes a block, to be sent in a frame that begins with header; false: the caller sends
        it at once, behind rest(). FULL: it has, and rest() is due, as the sender may wait for the
        interpreter."""
        now = monotonic()
        age = now - self._began
        if age >= PERIOD:
            crowd = self._count > FEW and age < 2 * PERIOD
            self._count = FEW if crowd else 0
            self._began = now
        self._count += 1
        sender = self._sender
        if self._count <= FEW or len(block) > SMALL or sender.abandoned or not sender.start():
            return False
        self.held = True
        self._size += len(block)
        sender.give(header, block)
        return FULL if age >= PERIOD or self._size >= MOST else True

    def rest(self):
        """Returns when everything that was held has been sent."""
        if self.held and not self._sender.abandoned:
            self._sender.flush()
        self.held = False
        self._size = 0
