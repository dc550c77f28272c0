"""The lane: requests and whole small responses through memory that both processes map.

While both sides are awake a frame costs no system call but the request's token; the channel
wakes whoever sleeps. Who reads a token from the eventfd owns a request: this process the
oldest, the front, which may change its mind, the newest. Words of the first page, each in a
cache line of its own and written by one side alone, count what has passed:

    TAKEN <= PUT    requests; TAKEN is known to this process alone
    READ <= ANSWERED <= READ + responses

Each counts modulo 2^32. PROTOCOL.md says what either side may rely on.
"""

import mmap
import os
import threading

from . import frames

PAGE = 4096  # bytes before the first entry
LINE = 16  # words from one shared word to the next
ASLEEP, PUT, WAITING, ANSWERED, READ = range(0, 5 * LINE, LINE)
COUNT = (1 << 32) - 1
STRONG = ("x86_64", "amd64", "i386", "i686")  # machines that keep the order of stores


class Lane:
    """This process's side of the lane; its threads share it."""

    def __init__(self, settings, threads):
        memory, self._tokens = (frames.CREDIT_FD + threads + offset for offset in (0, 1))
        requests, self._most, size = (settings[key] for key in ("requests", "responses", "entry"))
        self._memory = mmap.mmap(memory, PAGE + (requests + self._most) * size)
        os.close(memory)
        view = memoryview(self._memory)
        self._words = view[:PAGE].cast("I")
        starts = range(PAGE, PAGE + requests * size, size)
        self._entries = [view[start:start + size] for start in starts]
        self._payloads = [entry[frames.ENTRY.size:] for entry in self._entries]
        self._answers = PAGE + requests * size
        self._size = size
        self._taken, self._waiting, self._answered = 0, 0, 0
        self._lock = threading.Lock()
        self._order = None
        if os.uname().machine.lower() not in STRONG:
            self._order = threading.Lock()
            self._order.acquire()

    def take(self):
        """Returns (entry, payload) of the oldest request there is, or None.

        entry is as the front put it, payload begins with the environ. Both are good until
        the request is marked started or answered.
        """
        return None if self._words[PUT] == self._taken else self.claim()

    def claim(self):
        """Does the same whatever the count of requests says: its token is what decides."""
        try:
            with self._lock:
                os.read(self._tokens, 8)
                number = self._taken % len(self._entries)
                self._taken = self._taken + 1 & COUNT
        except BlockingIOError:
            return None  # none was put, or the front took it back
        return self._entries[number], self._payloads[number]

    def doze(self):
        """Says that the thread is about to block; claim() once more after it."""
        with self._lock:
            self._waiting += 1
            self._words[WAITING] = self._waiting

    def wake(self):
        """Takes doze() back."""
        with self._lock:
            self._waiting -= 1
            self._words[WAITING] = self._waiting

    def answer(self, frame):
        """Passes a whole response on: None if the channel must, else whether to wake the front."""
        size = len(frame) + 4
        words = self._words
        if words[ASLEEP] or size > self._size:
            return None
        with self._lock:  # its release also keeps the last load behind the stores
            answered = self._answered
            if (answered - words[READ] & COUNT) >= self._most:
                return None
            start = self._answers + answered % self._most * self._size
            self._memory[start:start + size] = len(frame).to_bytes(4, "little") + frame
            if self._order:
                self._fence()
            self._answered = words[ANSWERED] = answered + 1 & COUNT
            if self._order:
                self._fence()
        return words[ASLEEP] == 1

    def abandon(self):
        """Leaves the lane to the parent, in a fork: it looks empty and its front asleep."""
        self._words = memoryview(bytearray(PAGE)).cast("I")
        self._words[ASLEEP], self._words[PUT] = 1, self._taken
        self._lock = threading.Lock()  # the parent's may be held
        os.close(self._tokens)
        self._tokens = -1

    def _fence(self):
        # A release and the acquire of the same lock after it let nothing pass either way.
        self._order.release()
        self._order.acquire()
