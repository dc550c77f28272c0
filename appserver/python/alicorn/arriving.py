"""wsgi.input of a request whose body is read while it arrives.

The front passes the body on through a socket, in blocks, while the client sends it. A block is
its length and its bytes. A block of no bytes ends the body. When the socket ends without that
block, the body has broken off.
"""

import errno
import io
from select import POLLIN, poll  # the system's, whatever the application patches

from .frames import LENGTH
from .handlers import interruptible

BUFFER = 65536  # bytes that are read at once


class BodyLost(ConnectionResetError):
    """The body has broken off: its client has gone, was too slow, or has sent what is refused."""

    def __init__(self):
        super().__init__(errno.ECONNRESET, "the client has gone before the end of the request body")


class Blocks(io.RawIOBase):
    """The bytes of the blocks. A read waits for the client; it raises BodyLost."""

    def __init__(self, descriptor):
        self.file = io.FileIO(descriptor, "rb")
        self._poll = poll()
        self._poll.register(descriptor, POLLIN)
        self._waits = False
        self.left = 0  # bytes of the block that were not read yet
        self.ended = False

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.left and not self.ended:
            self._begin_block()
        if self.ended or not len(buffer):
            return 0
        self._wait()
        size = self.file.readinto(memoryview(buffer)[:self.left])
        if not size:
            raise BodyLost
        self.left -= size
        return size

    def close(self):
        self.file.close()
        super().close()

    @interruptible
    def _wait(self):
        """Waits for bytes. What a signal's handler interrupts may have read before, and drops it:
        the rest must not be taken for all of it."""
        if self._waits:
            raise ConnectionResetError(errno.ECONNRESET, "a read of the request body was interrupted")
        self._waits = True
        self._poll.poll()
        self._waits = False

    def _begin_block(self):
        head = b""
        while len(head) < LENGTH.size:
            self._wait()
            part = self.file.read(LENGTH.size - len(head))
            if not part:
                raise BodyLost
            head += part
        self.left, = LENGTH.unpack(head)
        self.ended = not self.left


def arriving(descriptor):
    """Returns the body as a binary file, which owns the descriptor."""
    return io.BufferedReader(Blocks(descriptor), BUFFER)
