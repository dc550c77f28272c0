"""The channel to the front, and the slots that answer requests on it and on the lane.

A process has one channel, a SEQPACKET socket that all its threads receive from, and one
slot per thread. A slot holds one request at a time, marks it started in the shared status
page, and sends its body bytes within a window of credit that the front refills there. The
page also tells when a request's client has gone. The front rings the slot's bell, a socket,
for a slot that waits. A frame is sent whole or not at all, so threads need no lock.
"""

import errno
import io
import marshal
import mmap
import os
import socket
import struct
from array import array

from . import frames
from .arriving import arriving
from .crumbs import FULL, Crumbs, Sender
from .frames import (CANCELLED, DATA, END, FRAME, GRANTED, HEAD, HEADER, LENGTH, POSITION, PREFIX,
                     SIZED, ProtocolError)
from .handlers import idles, interruptible
from .lane import Lane, RawLane, SharedLane, shared, store, store_apart
from .shapes import Shapes

# As exact int: an operation on socket's own, which are enumerations, costs a microsecond.
CLOEXEC = int(getattr(socket, "MSG_CMSG_CLOEXEC", 0))
NOSIGNAL = int(getattr(socket, "MSG_NOSIGNAL", 0))
TRUNC, CTRUNC = int(socket.MSG_TRUNC), int(socket.MSG_CTRUNC)
TRUNCATED = TRUNC | CTRUNC
PLAIN = struct.Struct("<III")  # SIZED with type, flags and slot in one, the last two mostly zero
DESCRIPTORS = socket.CMSG_SPACE(2 * array("i").itemsize)
COPIED = 16384  # bytes; a body up to this is copied behind its head, which beats an iovec
WAKE_UP = HEADER.pack(frames.WAKE, 0, 0, 0)
COUNT = (1 << 32) - 1
LOOK = 2  # seconds; how long a wait holds up a signal that came just before it, or to another thread
RINGS = 64  # of a bell, heard at once
AT_ONCE = 262144  # bytes; a body in a descriptor up to this is read before the application runs
INPUT_BUFFER = 65536  # bytes read at once from a larger one
MOST_REMARKS = 64  # different ones; an application may make up any number of header names


class ChannelClosed(Exception):
    """The front is gone, or this process is a fork that has no business on the channel."""


class ChannelLost(ChannelClosed):
    """The application has closed a descriptor of the worker's, or put another in its place."""


class Cancelled(BrokenPipeError):
    """The client of the request has gone: nothing that is sent reaches anybody."""

    def __init__(self):
        super().__init__(errno.EPIPE, "the client has gone")


class Channel:
    """The process's end of the socket, its status page and its bells."""

    def __init__(self):
        self.socket = socket.socket(fileno=frames.CHANNEL_FD)
        self.socket.setblocking(True)
        self.pid = os.getpid()
        self.leaving = False
        self._remarks = set()
        self.lane = self.bodies = None
        self.shapes = Shapes({})
        self.sender = Sender(self.send, self._lose_blocks)
        self._page = None
        for descriptor in range(frames.ZIP_FD, frames.BELL_FD):
            os.set_inheritable(descriptor, False)
        os.register_at_fork(after_in_child=self._abandon)

    def settings(self):
        """Returns the settings of this worker, once what they promise is open."""
        with open(frames.SETTINGS_FD, "rb") as file:
            return self.prepare(marshal.loads(file.read()))

    def prepare(self, settings):
        """Opens the lane that the settings promise; returns them."""
        lane, threads = settings.get("lane"), settings["threads"]
        bodies = settings.get("bodies")
        extra = bool(lane) + bool(bodies)
        for offset in range(threads + extra):
            os.set_inheritable(frames.BELL_FD + offset, False)
        if lane:
            kind = RawLane if settings["kind"] == "asgi" else SharedLane if threads > 1 else Lane
            self.lane = kind(lane, threads, self.shapes)
        if bodies:
            descriptor = frames.BELL_FD + threads + extra - 1
            self.bodies = mmap.mmap(descriptor, bodies["size"], prot=mmap.PROT_READ)
            os.close(descriptor)
            if lane:
                self.lane.bodies = self.bodies
        return settings

    def marks(self):
        """Returns the status page, as words; call once."""
        self._page = mmap.mmap(frames.STATUS_FD, 0)
        return memoryview(self._page).cast("I")

    def slots(self, count, window):
        """Returns count slots; call once. window is in bytes, at least 1."""
        if count == 1:  # its slot waits in the main thread
            look = struct.pack("ll", LOOK, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, look)
        marks = self.marks()
        return [Slot(self, index, marks, window) for index in range(count)]

    def report(self, kind, value, slot=0, id=0):
        """Sends a frame that carries one marshalled value."""
        self.send(frames.control(kind, slot, id, value))

    def note(self, entries):
        """Tells the front of files: (kind, path, stamp) each."""
        try:
            self.report(frames.NOTED, entries)
        except ChannelClosed:
            pass  # then the next receive ends the worker

    def remark(self, text):
        """Has the front log text, a warning about the application, once for all workers."""
        if text not in self._remarks and len(self._remarks) < MOST_REMARKS:
            self._remarks.add(text)
            value = "warn", frames.plain(text)
            self.send(frames.control(frames.LOG, 0, 0, value, frames.ONCE))

    def leave(self, reason):
        """Asks the front, once, to retire this worker. Safe in a signal handler."""
        if not self.leaving:
            self.leaving = True
            try:
                self.report(frames.LEAVING, frames.plain(reason))
            except ChannelClosed:
                pass  # then the next receive ends the worker

    @staticmethod
    def _lose_blocks(error):
        """Ends the process, whose sender has failed with blocks in its hands. If the front has gone, a
        slot learns that when it sends or waits."""
        if isinstance(error, ChannelClosed):
            return
        try:
            os.write(2, b"%s has come while blocks of responses were sent: nobody knows which were; this worker ends\n"
                     % type(error).__name__.encode())
        finally:
            os._exit(1)

    def send(self, frame):
        """Sends one frame, waiting for room; raises ChannelClosed."""
        try:
            self.socket.send(frame, NOSIGNAL)
        except OSError as error:
            raise closed(error) from None

    @property
    def abandoned(self):
        """Whether this is a child that the application forked."""
        return os.getpid() != self.pid

    def _abandon(self):
        # A fork that returned into our loop would take requests and answer for its parent.
        self.socket.close()
        self.sender.abandon()
        if self.lane:
            self.lane.abandon()


def closed(error):
    """Returns what an error of the channel or of a bell is to be raised as."""
    lost = error.errno in (errno.EBADF, errno.ENOTSOCK, errno.EISDIR)
    return (ChannelLost if lost else ChannelClosed)(str(error))


def opened(descriptor, size):
    """Returns a binary file of a body of size bytes; takes the descriptor over."""
    if size <= AT_ONCE:
        try:
            data = os.read(descriptor, size)
        except OSError:
            data = None  # then who reads it is told
        if data is not None and len(data) == size:
            os.close(descriptor)
            return io.BytesIO(data)  # shares them: read(size) copies nothing
        os.lseek(descriptor, 0, os.SEEK_SET)
    return open(descriptor, "rb", INPUT_BUFFER)


def nothing():
    """Stands for the take() of a lane that there is not."""


class Slot:
    """One thread's place on the channel. Only that thread may use it."""

    def __init__(self, channel, index, marks, window):
        self.channel = channel
        self.index = index
        lane = self._lane = channel.lane
        self.room = lane.room if lane else COPIED  # bytes of a frame that answer() takes
        self._answer = lane.answer if lane else None
        self.take = lane.take if lane else nothing  # as wait(), or None where that must wait
        self._window = window
        self._credit = window
        self._granted = 0  # of the front's count, what is in the credit
        self.partly = 0  # the request of whose response only a part of a block was sent
        self.marks = marks  # the status page: marks[mark] = id says that a request is started
        self.mark = index * frames.MARK_STRIDE
        self._buffer = memoryview(bytearray(FRAME))
        self._buffers = [self._buffer]
        self._payload = self._buffer[SIZED.size:]
        self._recvmsg_into = channel.socket.recvmsg_into
        self._send = channel.send
        self._crumbs = Crumbs(channel.sender)

    @idles
    def wait(self):
        """Waits for a request on the channel, and on the lane for what is put there now.

        Returns (id, environ, input), or None to retire. environ is a fresh dict of str, or
        None when the request's descriptors were lost; input is a binary file with exactly
        the body, for the caller to close, or None without one.
        """
        lane = self._lane
        while True:
            request = lane and lane.look()
            if request:
                return request
            try:
                request = lane and lane.doze()
                if request:
                    return request
                size, ancillary, flags, _ = self._recvmsg_into(
                    self._buffers, DESCRIPTORS, CLOEXEC)
            except BlockingIOError:
                continue  # LOOK has passed, and the handlers of signals have run
            except OSError as error:
                raise closed(error) from None
            finally:
                if lane:
                    lane.wake()
                    lane.waited()
            kind, id, length = PLAIN.unpack_from(self._buffer)
            if kind == frames.REQUEST and size == length + SIZED.size and not (
                    ancillary or flags & TRUNCATED):
                return id, self._environ(length), None
            if not size:
                return self.take()  # what the front could not take back, else None
            if not lane or self._buffer[0] != frames.WAKE:
                return self._request(size, ancillary, flags)
            request = self.take()
            if request:
                return request

    # What these methods send counts for the credit once it was sent: of a RecursionError, which a
    # call raises, nothing is left behind but that they were not called.

    def head(self, id, payload, body, end):
        """Sends a response head (marshalled) with body bytes that follow it. Returns those that are
        left for data(), or None."""
        size = len(body)
        length = len(payload)
        if size <= self._credit:
            framed = SIZED.size + length + size
            if end and framed <= self.room:
                prefix = PREFIX.pack(framed, HEAD, END, self.index)
                write = store if size <= COPIED else store_apart
                self.answer(id, (write, prefix, LENGTH.pack(length) + payload), body)
                return None
            if size <= COPIED and length <= COPIED:
                self._send(SIZED.pack(HEAD, end, self.index, id, length) + payload + body)
                self._credit -= size
                return None
        first = min(size, FRAME - SIZED.size - len(payload), self._window)
        self._await_credit(first)
        body = memoryview(body)
        last = end and first == size
        self._sendmsg(SIZED.pack(HEAD, last, self.index, id, len(payload)), payload, body[:first])
        self._credit -= first
        if first == size:
            return None
        self.partly = id
        return body[first:]

    def answer(self, id, whole, body):
        """Sends a whole response: one of Heads.whole, and the body it is for. False: there is not
        enough credit yet."""
        write, prefix, head = whole
        size = len(body)
        if size > self._credit:
            return False
        wake = self._answer and self._answer(write, prefix, id, head, body)
        if wake is None:
            begin = prefix[LENGTH.size:] + LENGTH.pack(id) + head
            if size <= COPIED:
                self._send(begin + body)
            else:
                self._sendmsg(begin, body)
            self._credit -= size
        else:
            self._credit -= size
            if wake:
                self._send(WAKE_UP)
        return True

    def data(self, id, body, end):
        """Sends body bytes, in as many frames as they need; end marks the last."""
        size = len(body)
        crumbs = self._crumbs
        if size <= COPIED and size <= self._credit:
            header = HEADER.pack(DATA, end, self.index, id)
            held = not end and crumbs.hold(header, body)
            if not held:
                if crumbs.held:
                    crumbs.rest()
                self._send(header + body)
            self._credit -= size
            if held is FULL:
                crumbs.rest()
            return
        crumbs.rest()
        self._data(id, memoryview(body), end)

    def file(self, id, payload, descriptor, position):
        """Sends a head whose body the front reads from that position of the descriptor."""
        header = SIZED.pack(HEAD, END | frames.FILE, self.index, id, len(payload))
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [descriptor]))]
        self._sendmsg(header, payload, POSITION.pack(position), ancillary=rights)

    def abort(self, id, reason):
        """Tells the front that a response which has begun cannot be completed."""
        self._crumbs.rest()
        self.channel.report(frames.ABORTED, frames.plain(reason), self.index, id)

    def complain(self, id, text):
        """Has the front log what the application did wrong in this request."""
        self.channel.report(frames.LOG, ("error", frames.plain(text)), self.index, id)

    def _request(self, size, ancillary, flags):
        kind, frame_flags, _, id, length = SIZED.unpack_from(self._buffer)
        if kind != frames.REQUEST or flags & TRUNC:
            raise ProtocolError("unexpected frame %r of %d bytes" % (chr(kind), size))
        if frame_flags == frames.BODY_SHARED and not ancillary:
            return id, self._environ(length), self._shared(length)
        if frame_flags or ancillary or flags & CTRUNC:
            return self._receive_descriptors(frame_flags, id, length, ancillary, flags)
        environ = self._environ(length)
        length += SIZED.size
        body = io.BytesIO(self._buffer[length:size]) if size > length else None
        return id, environ, body

    def _environ(self, length):
        return self.channel.shapes.environ(bytes(self._payload[:length]))

    def _shared(self, length):
        return io.BytesIO(shared(self.channel.bodies, self._payload, length))

    def _data(self, id, body, end):
        most = min(FRAME - HEADER.size, self._window)
        for start in range(0, len(body), most):
            part = body[start:start + most]
            self._await_credit(len(part))
            whole = start + most >= len(body)
            self._sendmsg(HEADER.pack(DATA, end and whole, self.index, id), part)
            self._credit -= len(part)
            self.partly = 0 if whole else id

    def _sendmsg(self, *parts, ancillary=()):
        try:
            self.channel.socket.sendmsg(parts, ancillary, NOSIGNAL)
        except OSError as error:
            raise closed(error) from None

    def check(self):
        """Raises Cancelled if the client of the request that this slot runs has gone."""
        if self.marks[self.mark + CANCELLED] == self.marks[self.mark]:
            raise Cancelled

    def _await_credit(self, size):
        while self._credit < size:
            granted = self.marks[self.mark + GRANTED]
            if granted == self._granted:
                self.check()
                self._listen()
                continue
            self._credit += granted - self._granted & COUNT
            self._granted = granted

    @interruptible
    def _listen(self):
        """Waits until the front rings, after it has changed something in the status page."""
        if self.channel.abandoned:
            raise ChannelClosed("forked")
        try:
            rings = os.read(frames.BELL_FD + self.index, RINGS)
        except OSError as error:
            raise closed(error) from None
        if not rings:
            raise ChannelClosed("the front has gone")

    def _receive_descriptors(self, frame_flags, id, length, ancillary, flags):
        held = array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                held.frombytes(data[:len(data) - len(data) % held.itemsize])
        body = frame_flags & (frames.BODY_FD | frames.BODY_STREAM)
        wanted = bool(body) + bool(frame_flags & frames.ENVIRON_FD)
        if flags & CTRUNC or len(held) != wanted:
            for descriptor in held:
                os.close(descriptor)
            return id, None, None
        if frame_flags & frames.ENVIRON_FD:
            with open(held.pop(0), "rb") as file:
                file.seek(0)
                environ = self.channel.shapes.environ(file.read())
        else:
            environ = self._environ(length)
        if frame_flags & frames.BODY_SHARED:
            return id, environ, self._shared(length)
        if not held:
            return id, environ, None
        if body == frames.BODY_STREAM:
            return id, environ, arriving(held[0])
        os.lseek(held[0], 0, os.SEEK_SET)  # a worker before may have read it
        return id, environ, opened(held[0], int(environ["CONTENT_LENGTH"]))
