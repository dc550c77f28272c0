"""Bodies of requests that an ASGI application receives by parts."""

import os
import socket

from .frames import LENGTH
from .streams import wake

PART = 65536  # bytes of an http.request event


class InFile:
    """A whole body that lies in a file."""

    def __init__(self, number, length):
        self.number, self.left, self.offset = number, length, 0

    async def read(self):
        """Returns (bytes, whether there are more)."""
        data = os.pread(self.number, min(PART, self.left), self.offset)
        if not data:
            self.left = 0  # a file that somebody has cut
        self.offset += len(data)
        self.left -= len(data)
        return data, self.left > 0

    def close(self):
        os.close(self.number)


class Comes:
    """A body that the front passes on while its client sends it, by blocks with their lengths
    (PROTOCOL.md, "A body that comes"). Nothing is read before the application wants it."""

    def __init__(self, loop, number, call):
        self.loop, self.call = loop, call
        self.socket = socket.socket(fileno=number)
        self.socket.setblocking(False)
        self.buffer = bytearray()
        self.left = 0  # bytes of the block that were not given yet
        self.lost = False
        self.readers = 0  # tasks that wait for more

    async def read(self):
        """Returns (bytes, whether there may be more); None: the body has broken off, or nobody
        waits for the answer."""
        while True:
            if not self.left and len(self.buffer) >= LENGTH.size:
                self.left, = LENGTH.unpack_from(self.buffer)
                del self.buffer[:LENGTH.size]
                if not self.left:
                    return b"", False
            if self.left and self.buffer:
                data = bytes(self.buffer[:self.left])
                del self.buffer[:self.left]
                self.left -= len(data)
                return data, True
            if self.lost or self.call.gone is not None or self.call.ended:
                return None
            self._fill() or await self._wait()

    def _fill(self):
        try:
            data = self.socket.recv(PART)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        self.lost = not data
        self.buffer += data
        return True

    async def _wait(self):
        number = self.socket.fileno()
        call = self.call

        def ready():
            self.loop.remove_reader(number)
            wake(call.waiter)

        self.loop.add_reader(number, ready)
        self.readers += 1
        try:
            await call.event()
        finally:
            self.readers -= 1
            if not self.readers and self.socket.fileno() >= 0:
                self.loop.remove_reader(number)

    def close(self):
        if self.socket.fileno() >= 0:
            self.loop.remove_reader(self.socket.fileno())
            self.socket.close()
            wake(self.call.waiter)  # another task may wait for what comes no more
