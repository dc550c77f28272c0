"""WSGI (PEP 3333): runs one application's requests on a slot.

A response that is a list, or whose Content-Length is reached, ends with the frame that
carries its last byte, so that the front need not wait for close(). Everything that depends
on the process alone is in the constants, merged into each environ.

When its client has gone a response ends before its next part: the iterable is closed, write()
raises BrokenPipeError. What an application returns as a list is sent, and dropped by the front.

An exception may come anywhere. A signal's handler does not leave the code that sends (handlers).
A RecursionError comes before a call, and state changes behind the call that has sent something. Of
any other that leaves that code (MemoryError, one that another thread raises here) nobody knows what
was sent: the response is Torn, and its slot serves no more.
"""

import io
import os
import stat
import sys
import tempfile
from io import BytesIO

from . import failure, logs
from .arriving import BodyLost
from .channel import Cancelled, Channel, ChannelClosed, Slot
from .crumbs import Crumbs, Sender
from .frames import END, request_id
from .handlers import interruptible
from .heads import Heads, Refused, listed
from .lane import Lane, SharedLane
from .threads import Bell
from .torn import NoSlot, Torn, codes, last_own

JOINED = 65536  # bytes; a list of parts up to this is sent as one body
BLOCK = 65536  # bytes; what a file is read in when it cannot be passed on
STOPS = SystemExit, KeyboardInterrupt
ERROR_STATUS = "500 Internal Server Error"
ERROR_BODY = b"Internal Server Error\n"
ERROR_HEADERS = [("Content-Type", "text/plain; charset=utf-8"),
                 ("Content-Length", str(len(ERROR_BODY)))]
LOST = ("the request's descriptors were lost on the way to this worker: "
        "has the application used up its open files (ulimit -n)?")


class FileWrapper:
    """wsgi.file_wrapper: iterates a file, or lets the front send it if it is a real one."""

    def __init__(self, filelike, block_size=BLOCK):
        self.filelike = filelike
        self.block_size = block_size
        if hasattr(filelike, "close"):
            self.close = filelike.close

    def __iter__(self):
        return self

    @interruptible
    def __next__(self):
        data = self.filelike.read(self.block_size)
        if data:
            return data
        raise StopIteration

    def rest(self):
        """Returns (descriptor, the file's position, bytes from there to its end), or None.

        Only files whose descriptor holds just what read() would return are taken; many
        other objects (gzip's, text files) have a fileno() too. The descriptor's position
        differs: a buffered reader is ahead of the file's.
        """
        file = self.filelike
        if type(file) is tempfile._TemporaryFileWrapper:
            file = file.file
        raw = file.raw if type(file) in (io.BufferedReader, io.BufferedRandom) else file
        if type(raw) is not io.FileIO:
            return None
        try:
            descriptor = raw.fileno()
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return None
            position = file.tell()
        except (OSError, ValueError):
            return None  # closed, or not seekable: iterating it says so
        return descriptor, position, max(status.st_size - position, 0)


class Response:
    """The answer to one request: what start_response said and what has been sent of it."""

    # Server.handle() sets what every request needs; an __init__ would cost twice as much.
    # bodyless: whatever the application gives, its head alone is sent. status is None until
    # start_response() was called, headers unset. opened: the head has been sent; ended: the
    # client has all it will get. left, from then on: bytes that Content-Length still promises.
    __slots__ = ("slot", "id", "heads", "bodyless", "status", "headers", "opened", "ended", "left")

    def start(self, status, headers, exc_info=None):
        """start_response(): keeps status and headers, to be checked when the head is sent."""
        if exc_info:
            try:
                if self.opened:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # its traceback holds this frame
        elif self.status is not None:
            raise AssertionError("start_response() was called a second time without exc_info")
        # In this order: the application's iterator of headers may fail.
        self.headers = headers if type(headers) is list else listed(headers)
        self.status = status
        return self.write

    def write(self, data):
        """The write() callable: sends the head if it is not, then data."""
        try:
            if not self.ended:
                self.slot.check()
            if data or self.opened:
                self._part(data)
            elif isinstance(data, bytes):
                self._open(b"", None)
            else:
                raise TypeError("write() takes bytes, not %s" % type(data).__name__)
        except BaseException as error:
            self._interrupted(error)
            raise

    def _interrupted(self, error):
        """Takes up an exception that write() raises: the application may go on after it."""
        kind = type(error)  # isinstance() would ask the application's
        if is_torn():
            self.slot = NoSlot(error)
        elif self.slot.partly == self.id and not issubclass(kind, (Cancelled, ChannelClosed)):
            self.slot.abort(self.id, "write() was interrupted by %s of the application"
                            % kind.__name__)
            self.ended, self.left = True, -1

    def send(self, result):
        """Sends what the application returned, to its end."""
        kind = type(result)
        if (kind is list or kind is tuple) and not self.opened:
            self._send_list(result)
        elif kind is not FileWrapper or self.opened or not self._send_file(result):
            self._send_parts(result)

    def sent(self, body):
        """Sends what is a whole body whose head was sent twice before; else returns False."""
        status = self.status
        if type(body) is not bytes or status is None or self.bodyless or self.opened:
            return False
        headers = self.headers
        if type(headers) is not list:
            return False
        try:
            whole = self.heads.whole.get((status, len(body), *headers))
        except TypeError:
            return False  # a header that is no tuple
        if whole is None or not self.slot.answer(self.id, whole, body):
            return False
        self.opened = self.ended = True
        self.left = 0
        return True

    def fail(self):
        """Answers 500, or breaks off a response that has begun."""
        if self.ended:
            return
        if self.opened:
            self.slot.abort(self.id, "the application failed after its response had begun")
            self.ended = True
            return
        payload = self.heads.head(ERROR_STATUS, ERROR_HEADERS, None)[0]
        try:
            self._send_whole(payload, b"" if self.bodyless else ERROR_BODY)
        except Cancelled:
            self.cancel()

    def cancel(self):
        """Ends a response that nobody waits for."""
        if not self.ended:
            self.slot.abort(self.id, "its client has gone")
            self.ended = True

    def _send_whole(self, payload, body):
        rest = self.slot.head(self.id, payload, body, END)
        self.opened = True
        self.left = 0
        if rest is not None:
            self.slot.data(self.id, rest, END)
        self.ended = True

    def _send_list(self, parts):
        if len(parts) == 1:
            body = parts[0]
        else:
            size = sum(map(checked_size, parts))
            if size > JOINED:
                self._send_parts(parts, size)
                return
            body = b"".join(parts)
        if not isinstance(body, bytes):
            checked_size(body)
        if self.status is None:
            raise Refused("the application did not call start_response()")
        size = len(body)
        payload, length, bodyless = self.heads.head(
            self.status, self.headers, size if size or not self.bodyless else None)
        if length == size and not (bodyless or self.bodyless):
            self._send_whole(payload, body)
        else:
            self._begin(payload, length, bodyless, body)
            self._finish()

    @interruptible
    def _send_parts(self, parts, size=None):
        if parts is None:
            raise Refused("the application returned None instead of an iterable")
        check = self.slot.check
        for part in parts:
            check()
            if part:
                self._part(part, size)
                if self.bodyless or self.left is not None and self.left < 0:
                    break
            elif not isinstance(part, bytes):
                checked_size(part)
        if not self.opened:
            self._open(b"", None if self.bodyless else 0)
        self._finish()

    def _send_file(self, wrapper):
        rest = wrapper.rest()
        if rest is None:
            return False
        if self.status is None:
            raise Refused("the application did not call start_response()")
        descriptor, position, size = rest
        payload, length, bodyless = self.heads.file_head(self.status, self.headers, size)
        if bodyless or self.bodyless or length == 0:
            payload = self.heads.head(self.status, self.headers, size)[0]
            self.slot.head(self.id, payload, b"", END)
        elif length > size:
            return False  # iterating it finds out how many bytes are missing
        else:
            self.slot.file(self.id, payload, descriptor, position)
        self.opened = self.ended = True
        self.left = 0
        return True

    def _part(self, data, size=None):
        checked_size(data)
        if not self.opened:
            self._open(data, size)
        elif not self.ended:
            if self.left is None:
                self.slot.data(self.id, data, 0)
                return
            excess = len(data) - self.left
            self.slot.data(self.id, data[:self.left] if excess > 0 else data,
                           END if excess >= 0 else 0)
            self.left = max(-excess, 0)
            self.ended = excess >= 0
            if excess > 0:
                self._too_many()
        elif not self.bodyless:
            self._too_many()

    def _open(self, data, size):
        if self.status is None:
            raise Refused("the application did not call start_response()")
        payload, length, bodyless = self.heads.head(self.status, self.headers, size)
        self._begin(payload, length, bodyless, data)

    def _begin(self, payload, length, bodyless, data):
        excess = None
        if self.bodyless or bodyless:
            self.bodyless = True
            data, end = b"", END
        elif length is None:
            end = 0
        else:
            excess = len(data) - length
            data, end = data[:length], END if excess >= 0 else 0
        rest = self.slot.head(self.id, payload, data, end)
        self.opened = True
        self.left = length if excess is None else max(-excess, 0)
        if rest is not None:
            self.slot.data(self.id, rest, end)
        self.ended = end == END
        if excess is not None and excess > 0:
            self._too_many()

    def _too_many(self):
        if self.left >= 0:
            self.left = -1
            self.slot.complain(self.id, "the application gave more bytes than its Content-Length; "
                                        "the rest is cut off")

    def _finish(self):
        if self.ended:
            return
        if self.left is None:
            self.slot.data(self.id, b"", END)
            self.ended = True
            return
        self.slot.check()  # an application that went on, although it was told, gave nothing less
        reason = "the application gave %d bytes less than its Content-Length" % self.left
        self.slot.complain(self.id, reason)
        self.slot.abort(self.id, reason)
        self.ended = True


class Server:
    """Runs the requests that a slot receives through one WSGI application."""

    def __init__(self, application, slot, settings):
        self.application = application
        self.slot = slot
        self.marks, self.mark = slot.marks, slot.mark
        self.heads = Heads(slot)
        self.key = settings["request_key"]
        self.errors = logs.stream()
        slot.channel.shapes.constants.update({
            "wsgi.version": (1, 0),
            "wsgi.input": None,  # run() sets these two
            "wsgi.errors": None,
            "wsgi.file_wrapper": FileWrapper,
            "wsgi.multithread": settings["threads"] > 1,
            "wsgi.multiprocess": True,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
            **settings.get("environ", {}),
        })

    def request_id(self, id):
        """Returns the front's $request_id of the request."""
        return request_id(self.key, id)

    def run(self):
        """Serves until the front retires the worker; lets SystemExit through, after the request
        that raised it has been answered. Raises Torn."""
        take, wait, handle = self.slot.take, self.slot.wait, self.handle
        marks, mark = self.marks, self.mark
        while True:
            request = take() or wait()
            if request is None:
                return
            id, environ, input = request
            response = Response()
            response.slot, response.heads, response.id = self.slot, self.heads, id
            response.opened = response.ended = False
            response.status = None
            try:
                if environ is None:
                    response.bodyless = False
                    raise Refused(LOST)
                environ["wsgi.errors"] = self.errors
                environ["wsgi.input"] = BytesIO() if input is None else input
                response.bodyless = environ["REQUEST_METHOD"] == "HEAD"
                marks[mark] = id  # from here on the front gives it to no other worker
                handle(response, environ)
            except BaseException as error:
                self.fail(response, environ, error)
            finally:
                if input is not None:
                    try:
                        input.close()
                    except Exception:
                        pass  # the application still has views of it, or made close() its own
            request = response = environ = input = None  # while it waits it holds on to nothing

    @interruptible
    def handle(self, response, environ):
        """Answers one request; the application's result is closed whatever happens."""
        result = self.application(environ, response.start)
        if type(result) is list and len(result) == 1 and response.sent(result[0]):
            return
        try:
            response.send(result)
        finally:
            if hasattr(result, "close"):
                result.close()

    def fail(self, response, environ, error):
        """Ends a response after an exception of the application's, or of what it has called."""
        kind = type(error)  # isinstance() would ask the application's
        if issubclass(kind, ChannelClosed):
            raise error
        self._refuse_torn(response, environ, error)
        stop = error if issubclass(kind, STOPS) else None
        try:
            if kind is Cancelled:
                response.cancel()
            elif kind is Refused:
                self.slot.complain(response.id, str(error))
            elif stop is None and kind is not BodyLost:  # whose answer nobody waits for
                failure.write(error, environ, lambda: self.request_id(response.id))
        finally:
            stop = self._end(response, environ, stop)
        if issubclass(type(stop), SystemExit):
            raise stop
        if stop is not None and not self.slot.channel.abandoned:
            self.slot.channel.leave("KeyboardInterrupt")

    def _end(self, response, environ, stop):
        """Answers 500 or breaks off, whatever a signal's handler raises meanwhile; returns what
        wants the worker to end, or stop."""
        while not response.ended:
            try:
                response.fail()
            except ChannelClosed:
                if stop is None:
                    raise
                break  # a fork of the application's exits as it asked to
            except BaseException as error:
                self._refuse_torn(response, environ, error)
                if issubclass(type(error), STOPS):
                    stop = error
        return stop

    def _refuse_torn(self, response, environ, error):
        """Raises Torn if error has torn the response."""
        if type(response.slot) is NoSlot:
            error = response.slot.error
        elif not is_torn():
            return
        text = "%s has come while the answer was sent to %s: nobody knows how much of it was" % (
            type(error).__name__, failure.where(environ, lambda: self.request_id(response.id)))
        raise Torn(text) from error


def is_torn():
    """Whether the exception that is handled has come in the midst of sending."""
    kind, _, trace = sys.exc_info()
    if issubclass(kind, (Cancelled, ChannelClosed, Refused, RecursionError)):
        return False
    return last_own(trace) in SENDING


SENDING = codes(Slot, "wait", "check", "_listen").union(
    codes(Response, "start", "write", "send", "_send_parts", "_send_list", "_open"),
    *map(codes, (Channel, Lane, SharedLane, Crumbs, Sender, Bell)))


def checked_size(part):
    """Returns the length of a part of a body; raises TypeError unless it is bytes."""
    if isinstance(part, bytes):
        return len(part)
    raise TypeError("a WSGI application yields bytes, not %s" % type(part).__name__)
