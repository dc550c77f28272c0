"""The lane: requests and whole responses through memory that both processes map.

While both sides are awake a frame costs no system call; the channel wakes whoever sleeps.
This process takes the oldest request, the front, which may change its mind, the newest: each
announces what it is about to take in its own word, then looks at the other's, so that both
never take the same. Words of the first page, each in a cache line of its own and written by
one side alone, count what has passed:

    TAKEN <= PUT    requests
    READ <= ANSWERED <= READ + responses

Each counts modulo 2^32. PROTOCOL.md says what either side may rely on.
"""

import mmap
import os
import struct
import threading
from collections import deque
from io import BytesIO
from os import sched_yield
from time import monotonic

from . import frames
from .frames import BLOCK, FRAME, LENGTH, PLACE, SIZED, ProtocolError

PAGE = 4096  # bytes before the first entry
LINE = 16  # words from one shared word to the next
ASLEEP, PUT, WAITING, ANSWERED, READ, TAKEN, BUSY = range(0, 7 * LINE, LINE)
COUNT = (1 << 32) - 1
REQUEST = frames.REQUEST  # in a word with the flags and the slot, which are zero
SHARED = REQUEST | frames.BODY_SHARED << 8
WORDS = struct.Struct("<IIIII")  # the frame's length, SIZED with type, flags and slot in one,
                                # and the environ's first word, the length of its shape
unpack, place = WORDS.unpack_from, PLACE.unpack_from
PLAIN = SIZED.size  # bytes of a frame besides its environ, where there is no body
ENVIRON = LENGTH.size + PLAIN  # where it begins
STRONG = ("x86_64", "amd64", "i386", "i686")  # machines that keep the order of stores


class Hesitation:
    """How long a thread that finds no request looks again before it waits. The front has the
    same and says why (proxy/eventloop/hesitation.go).
    """

    LEAST, MOST, SHORT, LONG = 16e-6, 64e-6, 250e-6, 1e-3  # seconds
    OFF = 256  # waits

    def __init__(self):
        self.limit = 0.0  # seconds
        self.off = 0  # waits from which it learns nothing

    def yielded(self, seconds):
        """Learns from the time for which others have run; false: they need the processor."""
        if seconds > self.LONG:
            self.limit, self.off = 0.0, self.OFF
        return seconds <= self.LONG

    def waited(self, seconds):
        """Learns from a wait of that length."""
        if self.off:
            self.off -= 1
        elif seconds <= self.SHORT:
            self.limit = min(max(self.limit * 2, self.LEAST), self.MOST)
        else:
            self.limit = self.limit / 2 if self.limit > self.LEAST else 0.0


class Lane:
    """This process's side of the lane, for its only thread."""

    bodies = None  # the memory that bodies share

    def __init__(self, settings, threads, shapes):
        memory = frames.BELL_FD + threads
        requests, responses, size, blocks = (
            settings[key] for key in ("requests", "responses", "entry", "blocks"))
        answers = PAGE + requests * size
        end = answers + responses * size
        self._memory = mmap.mmap(memory, end + blocks * BLOCK)
        os.close(memory)
        view = memoryview(self._memory)
        self._words = view[:PAGE].cast("I")
        self._shapes = shapes
        self._requests, self._responses = requests, responses
        self._entries = list(range(PAGE, answers, size))
        self._answers = list(range(answers, end, size))
        self.largest = size - 4  # bytes of a frame in an entry
        self.room = FRAME if blocks else self.largest  # bytes of an answer's frame
        self._blocks = end  # where they begin
        self._free = list(range(blocks))  # blocks; the one used last is taken first
        self._lent = deque()  # (count of answers with which it is free again, block)
        self._taken, self._answered = 0, 0
        self._full = responses  # the count of answers that there is room for, as last known
        lock = threading.Lock()
        self._acquire, self._release = lock.acquire, lock.release
        self._weak = os.uname().machine.lower() not in STRONG
        self._hesitation = Hesitation()
        self._looked = 0.0  # when look() has found nothing last

    def look(self):
        """Returns a request that comes while its thread hesitates to wait, or None."""
        hesitation, words, taken = self._hesitation, self._words, self._taken
        now = self._looked = monotonic()
        if not hesitation.limit or words[BUSY]:
            return None  # where many requests come together, one wake-up for all costs less
        until = now + hesitation.limit
        while words[PUT] == taken:
            before = now
            sched_yield()
            now = self._looked = monotonic()
            if not hesitation.yielded(now - before) or now >= until:
                break
        return self.take()

    def waited(self):
        """Says that a wait has ended, which began after look()."""
        self._hesitation.waited(monotonic() - self._looked)

    def take(self):
        """Returns the oldest request there is, as Slot.wait() does, or None."""
        words, taken = self._words, self._taken
        if not 0 < words[PUT] - taken & COUNT <= self._requests:
            return None
        words[TAKEN] = after = taken + 1 & COUNT
        if self._weak:
            self._barrier()
        self._acquire(False)  # as in doze()
        self._release()
        if not 0 < words[PUT] - taken & COUNT <= self._requests:
            words[TAKEN] = taken
            return None  # the front takes it back
        if self._weak:
            self._barrier()
        self._taken = after
        return self._decode(self._entries[taken % self._requests])

    def _decode(self, start):
        memory = self._memory
        size, kind, id, length, shape = unpack(memory, start)
        end = start + ENVIRON + length
        body = None
        if kind != REQUEST or size != length + PLAIN:
            body = self._body(kind, size - length - PLAIN, end)
        values = start + WORDS.size + shape  # Shapes.environ(), without its call
        ready, names = self._shapes[memory[start + WORDS.size:values]]
        environ = ready.copy()
        environ.update(zip(names, memory[values:end].decode("latin-1").split("\0")))
        return id, environ, body

    def doze(self):
        """Says that the thread is about to block, then takes what the front put before it
        could see that. wake() comes after it, whatever it returns."""
        words = self._words
        words[WAITING] = 1
        if self._weak:
            self._barrier()
        self._acquire(False)  # enough of a barrier elsewhere, and fewer calls
        self._release()
        return None if words[PUT] == self._taken else self.take()

    def wake(self):
        self._words[WAITING] = 0

    def answer(self, write, prefix, id, head, body):
        """Passes a whole response on: None if the channel must, else whether to wake the front.

        write is store(), or does the same.
        """
        words = self._words
        answered = self._answered
        if answered == self._full:
            self._full = words[READ] + self._responses & COUNT
        if words[ASLEEP] or answered == self._full:
            return None
        start = self._answers[answered % self._responses]
        if len(body) > self.largest - SIZED.size - len(head) + LENGTH.size:
            start = self._lend(start, prefix, answered)
            if start is None:
                return None
        write(self._memory, start, prefix, id, head, body)
        if self._weak:
            self._barrier()
        self._answered = words[ANSWERED] = answered + 1 & COUNT
        if self._weak:
            self._barrier()
        self._acquire(False)  # as in doze()
        self._release()
        return words[ASLEEP] == 1

    def _lend(self, entry, prefix, answered):
        # Has the entry name a block for an answer that does not fit, and returns where that
        # begins; None when the front has yet to copy all blocks.
        free, lent, read = self._free, self._lent, self._words[READ]
        while lent and read - lent[0][0] & COUNT <= COUNT >> 1:
            free.append(lent.popleft()[1])
        if not free:
            return None
        block = free.pop()
        lent.append((answered + 1 & COUNT, block))
        self._memory[entry:entry + 8] = prefix[:LENGTH.size] + LENGTH.pack(block)
        return self._blocks + block * BLOCK

    def _barrier(self):
        # The release and the acquire after it let nothing pass either way. An interrupt
        # may come between any two of them: none of them blocks or raises, then or later.
        self._acquire(False)
        self._release()
        self._acquire(False)
        self._release()

    def _body(self, kind, size, start):
        # The body, or its place, is what follows the environ.
        if kind == SHARED and size == PLACE.size:
            return BytesIO(shared(self.bodies, self._memory, start))  # read() then copies nothing
        if kind != REQUEST or not 0 < size <= self.largest:
            raise ProtocolError("unexpected frame %08x with a body of %d bytes in the lane"
                                % (kind, size))
        return BytesIO(self._memory[start:start + size])

    def abandon(self):
        """Leaves the lane to the parent, in a fork: it looks empty and its front asleep."""
        self._words = memoryview(bytearray(PAGE)).cast("I")
        self._words[ASLEEP], self._words[PUT] = 1, self._taken


class RawLane(Lane):
    """The same for an event loop: requests are (id, encoded scope, the body's bytes or None)."""

    def _decode(self, start):
        memory = self._memory
        size, kind, id, length, _ = unpack(memory, start)
        begin = start + ENVIRON
        end = begin + length
        body = None
        if kind != REQUEST or size != length + PLAIN:
            body = self._body(kind, size - length - PLAIN, end).getvalue()
        return id, memory[begin:end], body


def shared(bodies, memory, offset):
    """Returns the body that lies in bodies, an mmap, at the place that memory names at offset."""
    start, size = place(memory, offset)
    if bodies is None or start + size > len(bodies):
        raise ProtocolError("a body of %d bytes at %d of the shared memory" % (size, start))
    return bodies[start:start + size]


def store(memory, start, prefix, id, head, body):
    """Writes an entry; head is preceded by its length."""
    entry = prefix + LENGTH.pack(id) + head + body
    memory[start:start + len(entry)] = entry


def store_apart(memory, start, prefix, id, head, body):
    """The same for a body that is better copied once."""
    begin = prefix + LENGTH.pack(id) + head
    end = start + len(begin)
    memory[start:end] = begin
    memory[end:end + len(body)] = body


class SharedLane(Lane):
    """The same for threads."""

    def __init__(self, settings, threads, shapes):
        super().__init__(settings, threads, shapes)
        self._lock = threading.Lock()
        self._waiting = 0

    def look(self):
        return None  # other threads have work to do meanwhile

    def waited(self):
        pass

    def take(self):
        if self._words[PUT] == self._taken:
            return None
        with self._lock:
            return super().take()

    def doze(self):
        with self._lock:
            self._count(1)
            self._barrier()
        return self.take()

    def wake(self):
        with self._lock:
            self._count(-1)

    def answer(self, *entry):
        with self._lock:
            return super().answer(*entry)

    def abandon(self):
        super().abandon()
        self._lock = threading.Lock()  # the parent's may be held

    def _count(self, more):
        self._waiting += more
        self._words[WAITING] = self._waiting
