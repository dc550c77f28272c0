"""Handlers of signals that the application sets: when they run, and what they may interrupt."""

import signal
import socket
import os

import pytest

from test_process import poll
from test_validate import INTERPRETERS

PYTHONS = [path for path in INTERPRETERS if path == "/usr/bin/python3" or "/3.8." in path or "/3.13" in path]


@pytest.fixture(params=PYTHONS, ids=lambda path: path.split("/")[-3])
def worker(own, request):
    def start(**settings):
        front = own("signalapplications:app", python=request.param, **settings)
        front.ready()
        return front

    return start


def grants(front, id):
    """Returns the answer, all of which is given credit."""
    given, answer = 0, None
    while answer is None or not (answer.complete or answer.aborted):
        assert front.step() is not None, front.errors()
        answer = front.answers.get(id)
        if answer and len(answer.body) > given:
            front.grant(0, len(answer.body) - given)
            given = len(answer.body)
    return answer


def test_timers_lose_no_credit_and_mix_no_answers(worker):
    front = worker(window=65536)
    whole = 0
    for _ in range(20):
        answer = grants(front, front.request("/fires"))
        assert set(answer.body) <= set(b"yend")
        if answer.complete:
            assert len(answer.body) % 5000 == 3, "a block was cut"
            whole += 1
        else:
            assert "in fires" in front.errors(), "it was not in its own code"
    assert whole > 10


@pytest.mark.parametrize("sized", ["", "sized"])
def test_a_timer_at_the_end_breaks_no_answer_after_it(worker, sized):
    front = worker()
    for _ in range(100):
        answer = front.answer(front.request("/fires_at_the_end", QUERY_STRING=sized))
        assert answer.aborted or len(answer.body) == 1200
    poll(lambda: front.answer(front.request("/happened")).body == b"", "signals come without end")
    assert front.retire() == 0


def test_the_application_sees_what_it_has_set(worker):
    front = worker()
    for _ in range(2):
        assert front.get("/shows").body == b"refused," * 4 + b"own"


def test_what_comes_while_the_worker_is_at_work_is_put_off(worker):
    front = worker()
    assert front.get("/put_off").status[:3] == "500"
    poll(lambda: "the handler of signal 10 has failed while no request ran" in front.errors()
         or "error in GET /happened" in front.errors(), "it is lost")
    came = 0
    while not came:
        came = front.get("/happened").body.count(b"came")
    assert came < 5, "one signal has come %d times" % came


@pytest.mark.parametrize("path, happened", [("replaced", b"own"), ("forks", b"21")])
def test_in_the_midst(worker, path, happened):
    front = worker()
    for _ in range(3):
        assert front.get("/" + path).status[:3] == "500"
        assert front.get("/happened").body == happened


def test_a_timer_that_was_stopped_does_not_fire(worker):
    front = worker()
    for _ in range(3):
        assert front.get("/stopped").status[:3] == "500"
        assert front.get("/happened").body == b""


def test_a_handler_interrupts_another(worker):
    assert worker().get("/nested").body == b"boom"


def test_a_read_of_a_body_is_interrupted_at_once(worker):
    front = worker()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b"\x02\0\0\0ab")
        answer = front.answer(front.request("/reads", method="POST", stream=theirs))
        assert answer.body == b"Boom,ConnectionResetError"


def test_a_wait_for_credit_is_interrupted_at_once(worker):
    front = worker(window=11)
    answer = front.answer(front.request("/waits", QUERY_STRING="7"))
    assert answer.complete and answer.body == b"begin"
    front.grant(0, 5)
    assert front.get("/happened").body == b"boom"
    front.grant(0, 4)
    answer = front.answer(front.request("/waits", QUERY_STRING="30"))
    assert answer.aborted == "write() was interrupted by Boom of the application"
    front.grant(0, 11)
    assert front.get("/happened").body == b"boom"


def test_an_answer_that_waits_for_credit_is_broken_off(worker):
    front = worker(window=100)
    answer = front.answer(front.request("/waits_in_list"))
    assert answer.aborted and "Boom" in front.errors()
    front.grant(0, len(answer.body))
    assert front.get("/happened").complete


@pytest.mark.parametrize("threads", [1, 3])
def test_a_torn_answer_ends_the_worker_and_harms_no_other(worker, tmp_path, threads):
    front = worker(threads=threads)
    flag = tmp_path / "flag"
    other = front.request("/hangs", QUERY_STRING=str(flag)) if threads > 1 else 0
    poll(lambda: not other or other in [front.mark(slot) for slot in range(threads)], "not begun")
    torn = front.request("/tears")
    while torn not in front.answers or not front.answers[torn].logs:
        assert front.step() is not None, front.errors()
    assert "MemoryError has come while the answer was sent to GET /tears" in front.answers[torn].logs[0]
    assert "this worker ends" in front.answers[torn].logs[0]
    flag.touch()
    if other:
        assert front.answer(other).body == b"came"
        front.channel.shutdown(socket.SHUT_WR)
    while front.step() is not None:
        pass
    assert front.wait() == 1
    assert front.answers[torn].kinds == "HDL" and not front.answers[torn].complete


def test_no_timer_that_ends_at_once_is_lost(worker):
    front = worker()
    assert front.get("/tiny_timers").body == b"0"


def test_a_handler_that_fails_beside_the_threads_harms_no_request(own):
    front = own("signalapplications:app", threads=2, environ={"HANDLES_USR1": "1"})
    front.ready()
    for _ in range(3):
        assert front.get("/raises_in_the_main_thread").body == b"fine"
    while front.left_reason is None:
        assert front.step() is not None, front.errors()
    assert front.left_reason == "the handler of a signal has failed"
    assert "signalapplications.Boom" in front.errors()
    assert front.get("/raises_in_the_main_thread").body == b"fine"
    assert front.retire() == 0
