"""Many small blocks of a response: which of them are sent together, and when."""

import os
import sys
import threading
from types import SimpleNamespace

import pytest

from alicorn import channel, crumbs
from alicorn.crumbs import FEW, FULL, MOST, PERIOD, SMALL, Crumbs, Sender
from alicorn.frames import DATA, END, HEADER as FRAME_HEADER

HEADER = b"header:"
LONG = 60  # seconds that anything may take


class Time:
    """The clock of crumbs.py, which stands still, the sender's pause, which ends by the test or by
    its bell, and its threads."""

    def __init__(self):
        self.now = 100.0
        self.passes = threading.Semaphore(0)
        self.threads = []

    def start(self, run, arguments):
        self.threads.append(threading.Thread(target=run, args=arguments, daemon=True))
        self.threads[-1].start()

    def monotonic(self):
        return self.now

    def wait(self, seconds):
        assert seconds == PERIOD
        assert self.passes.acquire(timeout=LONG)

    def ring(self):
        self.passes.release()


@pytest.fixture
def time(monkeypatch):
    clock = Time()
    monkeypatch.setattr(crumbs, "monotonic", clock.monotonic)
    make = Sender.__init__

    def __init__(sender, *arguments):
        make(sender, *arguments)
        sender._bell = clock

    monkeypatch.setattr(Sender, "__init__", __init__)
    monkeypatch.setattr(crumbs, "start_new_thread", clock.start)
    yield clock
    for _ in clock.threads:
        clock.passes.release()  # then they wait for blocks


class Slot:
    """What sends a response's blocks, as the slot does."""

    def __init__(self, sender=None, header=HEADER):
        self.sent = []
        self.came = threading.Semaphore(0)
        self.header = header
        self.crumbs = Crumbs(sender or Sender(self.send))

    def send(self, frame):
        self.sent.append(frame)
        self.came.release()

    def data(self, block):
        held = self.crumbs.hold(self.header, block)
        if held != True:
            self.crumbs.rest()
        if not held:
            self.send(self.header + block)

    def crowd(self):
        """Gives so many blocks that the next small one is held."""
        for index in range(FEW):
            self.data(b"%d," % index)
        assert self.sent == [self.header + b"%d," % index for index in range(FEW)]
        del self.sent[:]
        self.came = threading.Semaphore(0)

    def await_frame(self):
        assert self.came.acquire(timeout=LONG), "no frame"


def test_few_blocks_of_a_period_are_sent_one_by_one(time):
    slot = Slot()
    slot.crowd()
    assert not slot.crumbs.held


def test_what_is_held_is_sent_though_the_application_gives_no_more(time):
    slot = Slot()
    slot.crowd()
    for block in b"a", b"b", b"c":
        slot.data(block)
    assert slot.sent == []
    time.passes.release()
    slot.await_frame()
    assert slot.sent == [HEADER + b"abc"]


def test_one_thread_sends_all(time):
    slot = Slot()
    slot.crowd()
    for block in b"a", b"b":
        slot.data(block)
        time.passes.release()
        slot.await_frame()
    assert slot.sent == [HEADER + b"a", HEADER + b"b"]
    assert len(time.threads) == 1


def test_each_response_has_frames_of_its_own(time):
    one = Slot(header=b"one:")
    other = Slot(one.crumbs._sender, b"other:")
    one.crowd()
    other.crowd()
    for block in b"a", b"b":
        one.data(block)
        other.data(block)
    other.crumbs.rest()
    assert one.sent == [b"one:ab", b"other:ab"]


def test_a_crowd_that_goes_on_is_sent_period_by_period(time):
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    time.now += PERIOD * 1.5
    slot.data(b"b")  # takes the first with it
    slot.data(b"c")
    assert slot.sent == [HEADER + b"ab"]
    slot.crumbs.rest()
    assert slot.sent == [HEADER + b"ab", HEADER + b"c"]


def test_after_a_pause_a_block_is_sent_at_once_behind_what_is_held(time):
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    time.now += PERIOD * 3
    slot.data(b"b")
    assert slot.sent == [HEADER + b"a", HEADER + b"b"]
    assert not slot.crumbs.held


def test_a_large_block_is_sent_at_once_behind_what_is_held(time):
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    slot.data(b"b" * (SMALL + 1))
    assert slot.sent == [HEADER + b"a", HEADER + b"b" * (SMALL + 1)]


def test_no_more_is_held_than_fits_a_frame(time):
    slot = Slot()
    slot.crowd()
    for _ in range(MOST // SMALL):
        slot.data(b"x" * SMALL)
    assert slot.sent == [HEADER + b"x" * MOST]
    assert not slot.crumbs.held


def test_nothing_overtakes_what_the_thread_is_sending(time):
    slot = Slot()
    slot.crowd()
    begun, goes_on = threading.Event(), threading.Event()

    def send(frame):
        begun.set()
        assert goes_on.wait(LONG)
        slot.send(frame)

    slot.crumbs._sender._send = send
    slot.data(b"a")
    time.passes.release()
    assert begun.wait(LONG)
    last = threading.Thread(target=lambda: slot.data(b"b" * (SMALL + 1)))
    last.start()
    goes_on.set()
    last.join(LONG)
    assert slot.sent == [HEADER + b"a", HEADER + b"b" * (SMALL + 1)]


def test_without_another_thread_no_block_is_held(time, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(crumbs, "start_new_thread", refuse)
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    slot.data(b"b")
    assert slot.sent == [HEADER + b"a", HEADER + b"b"]


def test_a_front_that_has_gone_holds_no_slot(time):
    def fail(frame):
        raise OSError("gone")

    slot = Slot()
    slot.crowd()
    slot.crumbs._sender._send = fail
    for block in b"a", b"b":
        slot.data(block)
        slot.crumbs.rest()


def test_a_fork_sends_nothing_that_was_held(time):
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    slot.crumbs._sender.abandon()
    slot.crumbs.rest()
    slot.data(b"b")  # a send that fails in a fork, whose socket is closed
    assert slot.sent == [HEADER + b"b"]


class Interrupt(Exception):
    """What the handler of a signal raises."""


def interrupted(run, line):
    """Calls run, and raises Interrupt before that line of the modules is run in this thread; false
    if there are fewer."""
    files = crumbs.__file__, channel.__file__
    left = [line]

    def trace(frame, event, _):
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            if not left[0]:
                sys.settrace(None)
                left[0] = -1
                raise Interrupt
            left[0] -= 1
        return trace

    sys.settrace(trace)
    try:
        run()
    except Interrupt:
        pass
    finally:
        sys.settrace(None)
    return left[0] < 0


@pytest.mark.parametrize("count", [0, 1, 2 * FEW])
def test_an_exception_anywhere_loses_nothing_and_leaves_nothing_for_the_next_response(
        count, monkeypatch):
    """A signal's handler raises, the application catches it and goes on, and other responses
    follow."""
    monkeypatch.setattr(crumbs, "monotonic", lambda: 1000.0)
    frames = []
    sender = Sender(frames.append)
    bell = sender._bell
    sender._bell = SimpleNamespace(wait=lambda _: bell.wait(), ring=bell.ring)
    blocks = [b"%05d" % number for number in range(4 * FEW)]
    before = blocks[:FEW + 4] + [b"x" * (SMALL + 1), b"y"]
    after = blocks[2 * FEW:2 * FEW + count] + [b"end"]
    given = []

    def crowd():
        for block in before:
            given.append(block)
            slot.data(1, block, 0)

    line, came = 0, True
    while came:
        del frames[:], given[:]
        slot = channel.Slot(SimpleNamespace(
            lane=None, sender=sender, send=frames.append,
            socket=SimpleNamespace(recvmsg_into=None)), 0, None, 1 << 40)
        came = interrupted(crowd, line)
        for block in after:
            slot.data(1, block, END * (block == b"end"))
        slot.data(2, b"other", END)
        assert sender.start()
        sender.flush()
        bodies = {1: b"", 2: b""}
        for frame in frames:
            kind, _, _, id = FRAME_HEADER.unpack_from(frame)
            assert kind == DATA
            bodies[id] += frame[FRAME_HEADER.size:]
        assert bodies[2] == b"other"
        whole = b"".join(given + after)
        cut = b"".join(given[:-1] + after)  # without the block that was interrupted
        assert bodies[1] in (whole, cut) if came else bodies[1] == whole, line
        line += 1
    assert line > 100  # there were so many lines to interrupt


@pytest.mark.parametrize("threads", [1, 3])
def test_a_crowd_is_passed_on_before_the_application_gives_the_next(own, tmp_path, threads):
    """PEP 3333: a block must not wait for the next, also not the last one of a crowd."""
    front = own(threads=threads)
    front.ready()
    flag = tmp_path / "flag"
    id = front.request("/crowd", QUERY_STRING=str(flag))
    answer = None
    while answer is None or len(answer.body) < 3000:
        front.step()
        answer = front.answers.get(id)
    assert not answer.complete
    flag.touch()
    assert front.answer(id).body == b"".join(b"%03d" % (n % 1000) for n in range(1000)) + b"end"


@pytest.mark.parametrize("window", [1, 100, 1 << 20])
def test_a_crowd_keeps_its_order_and_the_credit(own, window):
    front = own(window=window)
    front.ready()
    id = front.request("/crowd")
    granted, answer = 0, None
    while answer is None or not answer.complete:
        front.step()
        answer = front.answers.get(id)
        if answer:
            assert len(answer.body) - granted <= window
            front.grant(0, len(answer.body) - granted)
            granted = len(answer.body)
    assert answer.body == b"".join(b"%03d" % (n % 1000) for n in range(1000)) + b"end"
    if window > 1000:
        assert len(answer.frames) < 1000, "each block is a frame"


def test_a_crowd_comes_before_the_failure_behind_it(own):
    front = own()
    front.ready()
    answer = front.answer(front.request("/crowd", QUERY_STRING="fails"))
    assert answer.aborted == "the application failed after its response had begun"
    assert len(answer.body) == 3000
    assert front.get("/hello").body == b"hello"


def test_a_fork_of_the_application_sends_no_crowd(own):
    front = own()
    front.ready()
    answer = front.answer(front.request("/crowd_forks"))
    assert answer.body == b"x" * 1000 + os.fsencode("0")


def test_blocks_go_one_by_one_where_memory_is_short():
    class Parts:
        """Parts that cannot be put together."""

        joined = False

        def __iter__(self):
            if not self.joined:
                self.joined = True
                raise MemoryError
            return iter([b"one", b"two"])

    frames = []
    Sender(frames.append)._send_blocks(HEADER, Parts())
    assert frames == [HEADER + b"one", HEADER + b"two"]


def test_a_sender_that_fails_says_so_and_goes_on_if_it_may():
    errors, frames = [], []

    def send(frame):
        if not errors:
            raise MemoryError
        frames.append(frame)

    sender = Sender(send, errors.append)
    sender._bell = SimpleNamespace(wait=lambda _: None, ring=lambda: None)
    assert sender.start()
    sender.give(HEADER, b"lost")
    sender.flush()
    assert [type(error) for error in errors] == [MemoryError]
    sender.give(HEADER, b"later")
    sender.flush()
    assert frames == [HEADER + b"later"]
