"""Bodies that the application reads while they arrive."""

import socket
import struct

import pytest

from front import HERE, Front
from test_process import poll
from test_validate import INTERPRETERS


class Sender:
    """The front's side of a body that arrives."""

    def __init__(self, front, expression, path="/body", **environ):
        self.front = front
        self.ours, theirs = socket.socketpair()
        self.id = front.request(path, method="POST", stream=theirs, QUERY_STRING=expression,
                                **environ)
        theirs.close()

    def send(self, *blocks):
        for block in blocks:
            self.ours.sendall(struct.pack("<I", len(block)) + block)

    def end(self):
        self.send(b"")

    def answer(self):
        return self.front.answer(self.id)


@pytest.mark.parametrize("blocks, expression, result", [
    ([b"whole body"], "i.read()", b"whole body"),
    ([], "i.read()", b""),
    ([b"in ", b"three ", b"blocks"], "i.read()", b"in three blocks"),
    ([b"a" * 70000, b"b" * 200000], "i.read()", b"a" * 70000 + b"b" * 200000),
    ([b"one", b"two"], "i.read(4), i.read(100), i.read(1)", (b"onet", b"wo", b"")),
    ([b"li", b"ne 1\nline", b" 2\nrest"], "list(i)", [b"line 1\n", b"line 2\n", b"rest"]),
    ([b"a\nb\nc"], "i.readline(), i.readline(1), i.readlines()", (b"a\n", b"b", [b"\n", b"c"])),
    ([b"abc"], "i.read(0), i.read(-1)", (b"", b"abc")),
    ([b"abc"], "i.seekable(), i.read()", (False, b"abc")),
])
@pytest.mark.parametrize("long", [False, True], ids=["environ", "environ in a descriptor"])
def test_a_body_that_arrives_is_a_file(shared, blocks, expression, result, long):
    sender = Sender(shared, expression, long=long)
    sender.send(*blocks)
    sender.end()
    assert sender.answer().body.decode() == repr(result)


def test_an_application_reads_what_is_there(shared):
    """It has the first block, and answers with it, before the second is sent."""
    sender = Sender(shared, "", path="/reads_parts")
    for part in b"first", b"second":
        sender.send(part)
        poll(lambda: shared.step() and shared.answers[sender.id].body.endswith(part), "no part")
    sender.end()
    assert sender.answer().body == b"firstsecond" and sender.answer().complete


def test_an_answer_comes_before_the_end_of_the_body(shared):
    sender = Sender(shared, "i.read(3)")
    sender.send(b"abc")
    assert sender.answer().body == b"b'abc'"
    with pytest.raises(OSError):  # the worker has closed its end
        for _ in range(100):
            sender.send(b"x" * 10000)
    assert shared.answer(shared.request("/hello")).body == b"hello"


@pytest.mark.parametrize("sent", [b"", struct.pack("<I", 5)[:2], struct.pack("<I", 5),
                                  struct.pack("<I", 5) + b"abc"])
@pytest.mark.parametrize("reads", ["i.read()", "i.read(4)", "i.readline()", "list(i)"])
def test_a_read_of_a_body_that_breaks_off_raises(shared, sent, reads):
    """Nothing of what has come is taken for the body, and it is no failure to be logged."""
    logged = shared.errors()
    sender = Sender(shared, reads)
    sender.ours.sendall(sent)
    sender.ours.close()
    answer = sender.answer()
    assert answer.status.startswith("500") and not answer.logs
    assert shared.errors() == logged


def test_an_application_may_handle_that_a_body_broke_off(shared):
    sender = Sender(shared, "", path="/reads_again")
    sender.send(b"abc")
    sender.ours.close()
    assert sender.answer().body == b"ConnectionResetError, ConnectionResetError"


def test_a_response_that_has_begun_is_broken_off_with_its_body(shared):
    sender = Sender(shared, "", path="/reads_parts")
    sender.send(b"first")
    poll(lambda: shared.step() and shared.answers[sender.id].body == b"first", "no part")
    sender.ours.close()
    assert sender.answer().aborted


@pytest.mark.parametrize("python", INTERPRETERS)
def test_bodies_arrive_on(python):
    with Front("applications:app", HERE, python=python, threads=2) as front:
        front.ready()
        for size in 1, 65536, 300000:
            sender = Sender(front, "len(i.read())")
            sender.send(b"x" * size)
            sender.end()
            assert sender.answer().body == b"%d" % size
        assert front.retire() == 0 and front.errors() == ""
