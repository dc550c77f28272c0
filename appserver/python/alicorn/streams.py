"""The front, as an event loop sees it: requests come, and frames of many requests go both ways.

What is said in one turn of the loop goes out in as few messages as it fits (PROTOCOL.md,
"ASGI workers").
"""

import contextvars
import errno
import marshal
import os
import socket
from array import array

from . import frames
from .channel import CLOEXEC, DESCRIPTORS, NOSIGNAL, WAKE_UP, closed
from .frames import FRAME, HEADER, LENGTH, SIZED, ProtocolError
from .lane import shared

NOW = socket.MSG_DONTWAIT
MOST_TAKEN = 64  # requests taken in one turn, beside which answers go out
LARGEST = FRAME - LENGTH.size  # bytes of a frame
BODY = LARGEST - SIZED.size  # bytes that certainly fit one
SHORT = (errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS)  # what the system lacks for a while
AGAIN = 0.02  # seconds


class Streams:
    """The stream channel: frames go out at the end of a turn, and come in to dispatch. lost is
    told once it is of no use, as by a front that has gone."""

    def __init__(self, loop, dispatch, lost):
        self.loop = loop
        self.dispatch = dispatch  # takes kind, flags, id, payload
        self.lost = lost  # takes an exception
        self.socket = socket.socket(fileno=frames.BELL_FD)
        self.socket.setblocking(False)
        self.waiting = False  # for room
        self.empty = None  # a future: all was sent
        self._batch, self._size = [], 0
        self._ready = []  # messages
        self._due = False
        self._woke = False  # the front, in this turn
        loop.add_reader(self.socket.fileno(), self._receive)

    def put(self, frame):
        """Sends a frame at the end of the turn."""
        size = len(frame) + LENGTH.size
        if self._size + size > FRAME:
            self._seal()
        if not self._due:
            self.loop.call_soon(self.flush)  # which fails in too deep a recursion
            self._due = True
        self._batch += LENGTH.pack(len(frame)), frame
        self._size += size

    def put_first(self, frame):
        """Is put() for a front that sleeps: what it gets first in a turn wakes it, so that it
        works while the rest of the turn goes on."""
        first = not self._woke
        if first:
            self.loop.call_soon(self._forget)
            self._woke = True
        self.put(frame)
        if first:
            try:
                self.flush()
            except RecursionError:
                pass  # it is due anyway

    def _forget(self):
        self._woke = False

    def put_file(self, frame, descriptor):
        """Sends a frame with a descriptor, which is closed afterwards, at once."""
        self.flush()
        self._ready.append((LENGTH.pack(len(frame)) + frame, descriptor))
        self.flush()

    def _seal(self):
        if self._batch:
            self._ready.append(b"".join(self._batch))
            self._batch, self._size = [], 0

    def flush(self):
        """Sends what there is room for."""
        self._due = False
        self._seal()
        sent = 0
        try:
            for message in self._ready:
                if type(message) is tuple:
                    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [message[1]]))]
                    self.socket.sendmsg([message[0]], rights, NOSIGNAL)
                    os.close(message[1])
                else:
                    self.socket.send(message, NOSIGNAL)
                sent += 1
        except BlockingIOError:
            if not self.waiting:
                self.waiting = True
                self.loop.add_writer(self.socket.fileno(), self.flush)
        except OSError as error:
            if error.errno in SHORT:
                self.loop.call_later(AGAIN, self.flush)
            else:
                sent = len(self._ready)
                self.lost(closed(error))
        del self._ready[:sent]
        if self._ready:
            return
        if self.waiting:
            self.waiting = False
            self.loop.remove_writer(self.socket.fileno())
        wake(self.empty)

    async def drained(self):
        """Waits until all is sent."""
        self.flush()
        while self._ready:
            self.empty = self.loop.create_future()
            await self.empty

    def close(self):
        """Ends the channel."""
        self.loop.remove_reader(self.socket.fileno())
        if self.waiting:
            self.loop.remove_writer(self.socket.fileno())
        self.socket.close()

    def abandon(self):
        """Leaves the channel to the parent, in a fork, which shares what its loop watches."""
        self.socket.close()

    def _receive(self):
        try:
            self._take()
        except Exception as error:
            self.lost(error)

    def _take(self):
        for _ in range(MOST_TAKEN):
            try:
                data = self.socket.recv(FRAME)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.loop.remove_reader(self.socket.fileno())
                return
            start = 0
            while start < len(data):
                size, = LENGTH.unpack_from(data, start)
                start += LENGTH.size
                kind, flags, _, id = HEADER.unpack_from(data, start)
                self.dispatch(kind, flags, id, data[start + HEADER.size:start + size])
                start += size


class Requests:
    """The requests that come by channel and lane: start(id, data, body) is called for each.

    data encodes the scope; body is bytes, a Descriptor of a whole body or of one that comes, or
    None. Both are None where their descriptors were lost.

    What starts them runs in a context of its own: what a request sets there (contextvars) is no
    business of one that starts because it has ended.
    """

    def __init__(self, loop, channel, start, has_room, retired, lost):
        self.loop, self.channel = loop, channel
        self.start, self.has_room, self.retired, self.lost = start, has_room, retired, lost
        self.lane = channel.lane
        self._context = contextvars.copy_context()
        self._buffer = memoryview(bytearray(FRAME))
        self._buffers = [self._buffer]
        self._asleep = self._due = self._reading = self._ended = False

    def begin(self):
        self.resume()

    def resume(self):
        """Has a later turn take what there is: for the beginning, and when there is room."""
        if not self._due and not self._ended:
            self.loop.call_soon(self._turn, context=self._context)
            self._due = True

    def _watch(self):
        if not self._reading and not self._ended:
            self._reading = True
            self.loop.add_reader(self.channel.socket.fileno(), self._receive)

    def _unwatch(self):
        if self._reading:
            self._reading = False
            self.loop.remove_reader(self.channel.socket.fileno())

    def _turn(self):
        self._due = False
        try:
            self._poll()
        except Exception as error:
            self._fail(error)

    def _fail(self, error):
        self._unwatch()
        self._ended = True
        self.lost(error)

    def _poll(self):
        lane = self.lane
        if lane is None:
            if self.has_room():
                self._watch()
            else:
                self._unwatch()
            return
        self._wake()
        for _ in range(MOST_TAKEN):
            if not self.has_room():
                self._unwatch()  # until one has ended
                return
            request = lane.take()
            if request is None:
                break
            self.start(*request)
        else:
            self.resume()
            return
        self._watch()
        request = lane.doze()
        self._asleep = True
        if request is not None:
            self.start(*request)
            self.resume()

    def _wake(self):
        if self._asleep:
            self._asleep = False
            self.lane.wake()

    def _receive(self):
        try:
            self._take()
        except Exception as error:
            self._fail(error)

    def _take(self):
        self._wake()
        for _ in range(MOST_TAKEN):
            if not self.has_room():
                break
            try:
                size, ancillary, flags, _ = self.channel.socket.recvmsg_into(
                    self._buffers, DESCRIPTORS, CLOEXEC | NOW)
            except BlockingIOError:
                break
            except OSError as error:
                raise closed(error) from None
            if not size:
                self._end()
                return
            if self._buffer[0] != frames.WAKE:
                self.start(*self._request(size, ancillary, flags))
        self.resume()

    def _end(self):
        self._unwatch()
        request = self.lane and self.lane.take()  # what the front could not take back
        while request:
            self.start(*request)
            request = self.lane.take()
        self._ended = True
        self.retired()

    def _request(self, size, ancillary, flags):
        kind, frame_flags, _, id, length = SIZED.unpack_from(self._buffer)
        if kind != frames.REQUEST or flags & socket.MSG_TRUNC:
            raise ProtocolError("unexpected frame %r of %d bytes" % (chr(kind), size))
        end = SIZED.size + length
        data = bytes(self._buffer[SIZED.size:end])
        held = received(ancillary)
        body = frame_flags & (frames.BODY_FD | frames.BODY_STREAM)
        if flags & socket.MSG_CTRUNC or (
                len(held) != bool(body) + bool(frame_flags & frames.ENVIRON_FD)):
            for descriptor in held:
                os.close(descriptor)
            return id, None, None
        if frame_flags & frames.ENVIRON_FD:
            with open(held.pop(0), "rb") as file:
                file.seek(0)
                data = file.read()
        if frame_flags & frames.BODY_SHARED:
            return id, data, shared(self.channel.bodies, self._buffer, end)
        if held:
            return id, data, Descriptor(held[0], body == frames.BODY_STREAM)
        return id, data, bytes(self._buffer[end:size]) if size > end else None


class Descriptor:
    """A body that is in a file, or comes by a socket."""

    __slots__ = ("number", "comes")

    def __init__(self, number, comes):
        self.number, self.comes = number, comes


def received(ancillary):
    """Returns the descriptors that came with a frame."""
    held = array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            held.frombytes(data[:len(data) - len(data) % held.itemsize])
    return list(held)


def frame(kind, flags, line, id, payload=b""):
    """Returns a frame."""
    return HEADER.pack(kind, flags, line, id) + payload


def sized(kind, flags, line, id, payload, body=b""):
    """Returns a frame with a marshalled part and a body."""
    return SIZED.pack(kind, flags, line, id, len(payload)) + payload + body


def wake(future):
    """Lets who waits go on."""
    if future is not None and not future.done():
        future.set_result(None)


def wake_front(channel):
    """Wakes a front that may be asleep."""
    try:
        channel.socket.send(WAKE_UP, NOSIGNAL | NOW)
    except BlockingIOError:
        pass  # it has enough to read, which wakes it
    except OSError as error:
        raise closed(error) from None


def marshalled(value):
    return marshal.dumps(value, 2)
