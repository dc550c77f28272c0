"""WSGI (PEP 3333): runs one application's requests on a slot.

A response that is a list, or whose Content-Length is reached, ends with the frame that
carries its last byte, so that the front need not wait for close(). Everything that depends
on the process alone is in the constants, merged into each environ.

When its client has gone a response ends before its next part: the iterable is closed, write()
raises BrokenPipeError. What an application returns as a list is sent, and dropped by the front.
"""

import io
import os
import stat
import tempfile
from io import BytesIO

from . import failure, logs
from .arriving import BodyLost
from .channel import Cancelled, ChannelClosed
from .frames import END, request_id
from .heads import Heads, Refused, listed

JOINED = 65536  # bytes; a list of parts up to this is sent as one body
BLOCK = 65536  # bytes; what a file is read in when it cannot be passed on
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
        self.status = status
        self.headers = headers if type(headers) is list else listed(headers)
        return self.write

    def write(self, data):
        """The write() callable: sends the head if it is not, then data."""
        if not self.ended:
            self.slot.check()
        if data or self.opened:
            self._part(data)
        elif isinstance(data, bytes):
            self._open(b"", None)
        else:
            raise TypeError("write() takes bytes, not %s" % type(data).__name__)

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
        if whole is None:
            return False
        self.opened = self.ended = True
        self.left = 0
        try:  # as _end(), which would cost a call
            self.slot.answer(self.id, whole, body)
        except Cancelled:
            self.ended = False
            raise
        return True

    def fail(self):
        """Answers 500, or breaks off a response that has begun."""
        if self.ended:
            return
        if self.opened:
            self.ended = True
            self.slot.abort(self.id, "the application failed after its response had begun")
            return
        self.opened = True
        payload = self.heads.head(ERROR_STATUS, ERROR_HEADERS, None)[0]
        body = b"" if self.bodyless else ERROR_BODY
        try:
            self._end(self.slot.head, self.id, payload, body, END)
        except Cancelled:
            self.cancel()

    def cancel(self):
        """Ends a response that nobody waits for."""
        if not self.ended:
            self.ended = True
            self.slot.abort(self.id, "its client has gone")

    def _end(self, send, *frames):
        """Sends the last frames. ended is set before, for a signal's handler may raise after
        they were sent; a send that waits for credit and is Cancelled there has not sent them."""
        self.ended = True
        try:
            send(*frames)
        except Cancelled:
            self.ended = False
            raise

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
        self.opened = True
        if length == size and not (bodyless or self.bodyless):
            self.left = 0
            self._end(self.slot.head, self.id, payload, body, END)
        else:
            self._begin(payload, length, bodyless, body)
            self._finish()

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
            data, end = self._fit(data)
            if end:
                self._end(self.slot.data, self.id, data, END)
            else:
                self.slot.data(self.id, data, 0)
        elif not self.bodyless:
            self._too_many()

    def _open(self, data, size):
        if self.status is None:
            raise Refused("the application did not call start_response()")
        payload, length, bodyless = self.heads.head(self.status, self.headers, size)
        self.opened = True
        self._begin(payload, length, bodyless, data)

    def _begin(self, payload, length, bodyless, data):
        self.left = length
        if self.bodyless or bodyless:
            self.bodyless = True
            data, end = b"", True
        else:
            data, end = self._fit(data)
        if end:
            self._end(self.slot.head, self.id, payload, data, END)
        else:
            self.slot.head(self.id, payload, data, 0)

    def _fit(self, data):
        """Returns data cut to what Content-Length leaves, and whether that completes it."""
        if self.left is None:
            return data, False
        left = self.left
        if len(data) > left:
            self._too_many()
            return data[:left], True
        self.left = left - len(data)
        return data, self.left == 0

    def _too_many(self):
        if self.left >= 0:
            self.left = -1
            self.slot.complain(self.id, "the application gave more bytes than its Content-Length; "
                                        "the rest is cut off")

    def _finish(self):
        if self.ended:
            return
        if self.left is None:
            self._end(self.slot.data, self.id, b"", END)
            return
        self.slot.check()  # an application that went on, although it was told, gave nothing less
        self.ended = True
        reason = "the application gave %d bytes less than its Content-Length" % self.left
        self.slot.complain(self.id, reason)
        self.slot.abort(self.id, reason)


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
            "wsgi.input": None,  # handle() sets these two
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
        """Serves until the front retires the worker; lets SystemExit and KeyboardInterrupt
        through, after the request that raised them has been answered."""
        take, wait, handle = self.slot.take, self.slot.wait, self.handle
        while True:
            request = take() or wait()
            if request is None:
                return
            id, environ, input = request
            handle(id, environ, input)
            request = environ = input = None  # while it waits it holds on to nothing

    def handle(self, id, environ, input):
        """Answers one request; the application's result is closed whatever happens."""
        response = Response()
        response.slot, response.heads, response.id = self.slot, self.heads, id
        response.opened = response.ended = False
        response.status = None
        if environ is None:
            response.bodyless = False
            self.slot.complain(id, LOST)
            response.fail()
            return
        environ["wsgi.errors"] = self.errors
        environ["wsgi.input"] = BytesIO() if input is None else input
        response.bodyless = environ["REQUEST_METHOD"] == "HEAD"
        try:
            self.marks[self.mark] = id  # from here on the front gives it to no other worker
            result = self.application(environ, response.start)
            if type(result) is list and len(result) == 1 and response.sent(result[0]):
                return
            try:
                response.send(result)
            finally:
                if hasattr(result, "close"):
                    result.close()
        except ChannelClosed:
            raise
        except Cancelled:
            response.cancel()
        except BodyLost:
            response.fail()  # the application has not failed, and nobody waits for its answer
        except Refused as error:
            self.slot.complain(id, str(error))
            response.fail()
        except (SystemExit, KeyboardInterrupt):
            try:
                response.fail()
            except ChannelClosed:
                pass  # a fork of the application's exits as it asked to
            raise
        except BaseException as error:
            failure.write(error, environ, lambda: self.request_id(id))
            response.fail()
        finally:
            if input is not None:
                try:
                    input.close()
                except Exception:
                    pass  # the application still has views of it, or made close() its own


def checked_size(part):
    """Returns the length of a part of a body; raises TypeError unless it is bytes."""
    if isinstance(part, bytes):
        return len(part)
    raise TypeError("a WSGI application yields bytes, not %s" % type(part).__name__)
