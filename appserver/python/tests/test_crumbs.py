"""Many small blocks of a response: which of them are sent together, and when."""

import os
import threading

import pytest

from alicorn import crumbs
from alicorn.crumbs import FEW, MOST, PERIOD, SMALL, Crumbs, Sender

HEADER = b"header:"
LONG = 60  # seconds that anything may take


class Time:
    """The clock of crumbs.py, which stands still, its sleep(), which waits for the test, and its
    threads."""

    def __init__(self):
        self.now = 100.0
        self.passes = threading.Semaphore(0)
        self.threads = []

    def start(self, run, arguments):
        self.threads.append(threading.Thread(target=run, args=arguments))
        self.threads[-1].start()

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        assert seconds == PERIOD
        assert self.passes.acquire(timeout=LONG)


@pytest.fixture
def time(monkeypatch):
    clock = Time()
    monkeypatch.setattr(crumbs, "monotonic", clock.monotonic)
    monkeypatch.setattr(crumbs, "sleep", clock.sleep)
    monkeypatch.setattr(crumbs, "start_new_thread", clock.start)
    yield clock
    for thread in clock.threads:
        for _ in range(2):
            clock.passes.release()  # to send what is held, and to find nothing
        thread.join(LONG)
        assert not thread.is_alive()


class Slot:
    """What sends a response's blocks, as the slot does."""

    def __init__(self, sender=None):
        self.sent = []
        self.came = threading.Semaphore(0)
        self.crumbs = Crumbs(sender or Sender(), self.send)

    def send(self, frame):
        self.sent.append(frame)
        self.came.release()

    def data(self, block):
        if not self.crumbs.hold(HEADER, block):
            self.send(HEADER + (self.crumbs.rest() if self.crumbs.late else b"") + block)

    def crowd(self):
        """Gives so many blocks that the next small one is held."""
        for index in range(FEW):
            self.data(b"%d," % index)
        assert self.sent == [HEADER + b"%d," % index for index in range(FEW)]
        del self.sent[:]
        self.came = threading.Semaphore(0)

    def await_frame(self):
        assert self.came.acquire(timeout=LONG), "no frame"


def test_few_blocks_of_a_period_are_sent_one_by_one(time):
    slot = Slot()
    slot.crowd()
    assert not slot.crumbs.late


def test_what_is_held_is_sent_though_the_application_gives_no_more(time):
    slot = Slot()
    slot.crowd()
    for block in b"a", b"b", b"c":
        slot.data(block)
    assert slot.sent == []
    time.passes.release()
    slot.await_frame()
    assert slot.sent == [HEADER + b"abc"]


def test_the_thread_ends_when_nothing_is_held_and_another_takes_its_place(time):
    slot = Slot()
    slot.crowd()
    for block in b"a", b"b":
        slot.data(block)
        time.passes.release()
        slot.await_frame()
        time.passes.release()
        time.threads[-1].join(LONG)
        assert not time.threads[-1].is_alive()
    assert slot.sent == [HEADER + b"a", HEADER + b"b"]
    assert len(time.threads) == 2


def test_a_crowd_that_goes_on_is_sent_period_by_period(time):
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    time.now += PERIOD * 1.5
    slot.data(b"b")  # takes the first with it
    slot.data(b"c")
    assert slot.sent == [HEADER + b"ab"]
    assert slot.crumbs.rest() == b"c"


def test_after_a_pause_a_block_is_sent_at_once_behind_what_is_held(time):
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    time.now += PERIOD * 3
    slot.data(b"b")
    assert slot.sent == [HEADER + b"ab"]
    assert not slot.crumbs.late


def test_a_large_block_is_sent_at_once_behind_what_is_held(time):
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    slot.data(b"b" * (SMALL + 1))
    assert slot.sent == [HEADER + b"a" + b"b" * (SMALL + 1)]


def test_no_more_is_held_than_fits_a_frame(time):
    slot = Slot()
    slot.crowd()
    for _ in range(MOST // SMALL):
        slot.data(b"x" * SMALL)
    assert slot.sent == [HEADER + b"x" * MOST]
    assert slot.crumbs.rest() == b""


def test_nothing_overtakes_what_the_thread_is_sending(time):
    slot = Slot()
    slot.crowd()
    begun, goes_on = threading.Event(), threading.Event()

    def send(frame):
        begun.set()
        assert goes_on.wait(LONG)
        slot.send(frame)

    slot.crumbs._send = send
    slot.data(b"a")
    time.passes.release()
    assert begun.wait(LONG)
    last = threading.Thread(target=lambda: slot.send(HEADER + slot.crumbs.rest() + b"b"))
    last.start()
    goes_on.set()
    last.join(LONG)
    assert slot.sent == [HEADER + b"a", HEADER + b"b"]


def test_without_another_thread_no_block_is_held(time, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(crumbs, "start_new_thread", refuse)
    slot = Slot()
    slot.crowd()
    slot.data(b"a")
    slot.data(b"b")
    assert slot.sent == [HEADER + b"a", HEADER + b"b"]


def test_a_front_that_has_gone_does_not_end_the_thread(time):
    def fail(frame):
        raise OSError("gone")

    sender = Sender()
    gone, other = Slot(sender), Slot(sender)
    gone.crowd()
    other.crowd()
    gone.crumbs._send = fail
    gone.data(b"a")
    other.data(b"b")
    time.passes.release()
    other.await_frame()
    assert other.sent == [HEADER + b"b"]


def test_a_fork_has_a_sender_of_its_own(time):
    sender = Sender()
    slot = Slot(sender)
    slot.crowd()
    slot.data(b"a")
    with sender.lock:
        sender.abandon()
        assert not sender._runs
    assert sender.lock.acquire(False)
    sender.lock.release()


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
