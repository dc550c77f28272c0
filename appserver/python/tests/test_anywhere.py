"""Exceptions in the midst of the worker's own code: no response hangs, none is mixed with another,
and no credit is lost."""

import io
import os
import sys
from types import SimpleNamespace

import pytest

from alicorn import channel, handlers, logs, wsgi
from alicorn.channel import Channel, Slot
from alicorn.crumbs import Sender
from alicorn.frames import CANCELLED, DATA, END, GRANTED, HEAD, HEADER, SIZED
from alicorn.handlers import ANYWHERE
from alicorn.shapes import Shapes
from alicorn.torn import Torn

OURS = os.path.dirname(channel.__file__) + os.sep
TEXT = [("Content-Type", "text/plain")]
SETTINGS = {"request_key": "00" * 16, "threads": 1}
BLOCKS = [b"%05d" % number for number in range(12)]
LONG = [bytes([65 + number]) * 130 for number in range(4)]


class Interrupt(Exception):
    """What the handler of a signal raises."""


class Front(Channel):
    """A channel whose front takes each frame at once, and gives credit once a slot waits for it."""

    def __init__(self, window, monkeypatch):
        self.frames, self.bytes, self.window, self.last = [], 0, window, 0
        self.socket = SimpleNamespace(
            send=lambda frame, flags: self.take(frame), recvmsg_into=None,
            sendmsg=lambda parts, rights, flags: self.take(b"".join(parts)))
        self.pid, self.leaving, self.lane = os.getpid(), False, None
        self._remarks, self.shapes, self.sender = set(), Shapes({}), Sender(self.send)
        self.words = [0] * 16
        self.words[CANCELLED] = -1
        self.slot = Slot(self, 0, self.words, window)
        self.slot.wait = lambda: None
        monkeypatch.setattr(channel, "os", SimpleNamespace(read=self.grant, getpid=os.getpid))
        monkeypatch.setattr(logs, "stream", io.StringIO)

    def take(self, frame):
        self.frames.append(frame)
        kind, flags = frame[0], frame[1]
        if kind == DATA:
            self.bytes += len(frame) - HEADER.size
        elif kind == HEAD and not flags & 2:
            self.bytes += len(frame) - SIZED.size - SIZED.unpack_from(frame)[4]

    def grant(self, descriptor, size):
        if self.words[GRANTED] == self.bytes:
            os.write(2, b"a slot waits for credit that was lost\n")
            os.abort()
        self.words[GRANTED] = self.bytes
        return b"!"

    def serve(self, application, *methods):
        """Serves a request of each method, whose ids are 1, 2, ..."""
        requests = []
        for method in methods:
            self.last += 1
            requests.append((self.last, {"REQUEST_METHOD": method, "PATH_INFO": "/"}, None))
        self.slot.take = lambda: requests.pop(0) if requests else None
        wsgi.Server(application, self.slot, SETTINGS).run()

    def check(self, whole):
        """Asserts what holds whatever has happened; returns by id what the client got, None for a
        response that has not ended. whole: none of these is allowed."""
        if self.sender._runs:
            self.sender.flush()
        got, ended = {}, {}
        for frame in self.frames:
            kind, flags, _, id = HEADER.unpack_from(frame)
            if kind == ord("L"):
                continue
            assert id not in ended, "a frame after the end of the response"
            assert (kind == HEAD) == (id not in got), "%r out of order" % chr(kind)
            if kind == HEAD:
                got[id] = b"" if flags & 2 else frame[SIZED.size + SIZED.unpack_from(frame)[4]:]
            elif kind == DATA:
                got[id] += frame[HEADER.size:]
            if kind == ord("X") or flags & END:
                ended[id] = "broken" if kind == ord("X") else "complete"
        assert not whole or set(got) == set(ended), "a response has no end"
        if whole:
            left = self.slot._credit + self.words[GRANTED] - self.slot._granted
            assert left == self.window + self.words[GRANTED] - self.bytes, "credit has leaked"
        return {id: (ended.get(id), body) for id, body in got.items()}


def interrupted(run, line, may):
    """Calls run, and raises Interrupt before that line of the worker, or before the first line of it
    or of this module after that one where may(frame). False if there are fewer lines. An exception
    of run is returned."""
    left = [line]

    def trace(frame, event, _):
        name = frame.f_code.co_filename
        ours = name.startswith(OURS) and not name.endswith(("handlers.py", "failure.py"))
        if not ours and name != __file__:
            return None
        if event == "line" and left[0] >= 0:
            left[0] -= ours
            if left[0] < 0:
                if may(frame):
                    left[0] = -2
                    sys.settrace(None)
                    raise Interrupt
                left[0] = 0
        return trace

    sys.settrace(trace)
    try:
        run()
    except BaseException as error:
        return left[0] == -2 and (error if not isinstance(error, AssertionError) else pytest.fail())
    finally:
        sys.settrace(None)
    return left[0] == -2


def listed(environ, start_response):
    start_response("200 OK", TEXT)
    return [b"".join(BLOCKS)]


def many(environ, start_response):
    start_response("200 OK", TEXT)
    return LONG


def sized(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "60")])
    return iter(BLOCKS)


class Closing:
    def __init__(self, parts):
        self.parts = iter(parts)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.parts)

    def close(self):
        self.parts = None


def closing(environ, start_response):
    start_response("200 OK", iter(TEXT))
    return Closing(LONG)


def written(environ, start_response):
    write = start_response("200 OK", TEXT)
    for block in LONG:
        write(block)
    return iter(BLOCKS)


def goes_on(environ, start_response):
    write = start_response("200 OK", TEXT)
    for block in BLOCKS + LONG:
        try:
            write(block)
        except Interrupt:
            pass
    return []


def sized_goes_on(environ, start_response):
    write = start_response("200 OK", TEXT + [("Content-Length", "60")])
    for block in BLOCKS:
        try:
            write(block)
        except Interrupt:
            write(block)
    return []


def wrapped(environ, start_response):
    start_response("200 OK", TEXT)
    return wsgi.FileWrapper(io.BytesIO(b"".join(LONG)), 130)


def fails(environ, start_response):
    raise ValueError


def fails_late(environ, start_response):
    start_response("200 OK", TEXT)(BLOCKS[0])
    raise ValueError


def short(environ, start_response):
    start_response("200 OK", TEXT + [("Content-Length", "600")])
    return BLOCKS


APPLICATIONS = [listed, many, sized, closing, written, goes_on, sized_goes_on, wrapped, fails,
                fails_late, short]


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setattr(wsgi.failure, "write", lambda *_: None)


WINDOWS = pytest.mark.parametrize("window", [1 << 20, 60])


@WINDOWS
@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda function: function.__name__)
def test_a_signal_anywhere(application, window, monkeypatch):
    """It comes before a line, and its handler raises there or at the next place where it may."""
    front = Front(window, monkeypatch)
    front.serve(application, "GET", "HEAD")
    first = front.check(True)
    line, came = 0, True
    while came:
        front = Front(window, monkeypatch)
        came = interrupted(lambda: front.serve(application, "GET", "HEAD"), line,
                           lambda frame: handlers.place(frame) == ANYWHERE)
        assert isinstance(came, bool), came
        front.serve(listed, "GET")
        answers = front.check(True)
        assert answers.pop(3) == ("complete", b"".join(BLOCKS)), line
        for id, (end, body) in answers.items():
            assert end == "broken" and first[id][1].startswith(body) or end == "complete" and (
                body in (first[id][1], wsgi.ERROR_BODY) or id == 1 and body in other(application)), line
        line += 1
    assert line > 50


def other(application):
    """Returns the bodies of an application that catches Interrupt once and goes on."""
    if application is goes_on:
        blocks = BLOCKS + LONG
        return [b"".join(blocks[:at] + blocks[at + 1:]) for at in range(len(blocks))]
    if application is sized_goes_on:
        return [b"".join(BLOCKS[:at] + BLOCKS[at - 1:])[:60] for at in range(1, len(BLOCKS))]
    return []


@WINDOWS
@pytest.mark.parametrize("application", APPLICATIONS, ids=lambda function: function.__name__)
def test_any_exception_anywhere(application, window, monkeypatch):
    """It comes where nobody has thought of it: then the slot serves no more, or as ever."""
    torn, line, came = 0, 0, True
    while came:
        front = Front(window, monkeypatch)
        came = interrupted(lambda: front.serve(application, "GET", "HEAD"), line, lambda frame: True)
        if came is True:
            front.serve(listed, "GET")
            assert front.check(True)[3] == ("complete", b"".join(BLOCKS)), line
        else:
            front.check(False)
            torn += isinstance(came, Torn)
        line += 1
    assert torn > 5


@WINDOWS
@pytest.mark.parametrize("offset", range(12))
def test_a_recursion_that_writes(offset, window, monkeypatch):
    """The application comes to the limit in the midst of the worker's code, and goes on."""
    def descend(write, block, below):
        if below:
            return descend(write, block, below - 1)
        try:
            write(block)
        except RecursionError:
            return
        written.append(block)
        descend(write, BLOCKS[len(written) % len(BLOCKS)], offset)

    def application(environ, start_response):
        write = start_response("200 OK", TEXT)
        del written[:]
        try:
            descend(write, BLOCKS[0], offset)
        except RecursionError:
            pass
        write(b"end")
        return []

    written = []
    front = Front(window, monkeypatch)
    front.serve(application, "GET")
    front.serve(listed, "GET")
    answers = front.check(True)
    assert answers[2] == ("complete", b"".join(BLOCKS))
    assert len(written) > 10
    last = BLOCKS[len(written) % len(BLOCKS)]  # which may have been sent when write() failed
    assert answers[1] in (("complete", b"".join(written) + b"end"),
                          ("complete", b"".join(written) + last + b"end"))
