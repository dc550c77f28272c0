"""The worker process: credit, threads, signals, exits, forks, descriptors."""

import ast
import ctypes
import hashlib
import os
import resource
import select
import signal
import socket
import time

import pytest


def poll(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


def test_ready_says_what_runs(own):
    front = own(threads=3)
    ready = front.ready()
    assert ready["pid"] == front.pid
    assert ready["threads"] == 3
    assert ready["app"] == "applications:app"
    assert ready["framework"] == "WSGI"
    assert os.path.samefile(ready["executable"], os.readlink("/proc/%d/exe" % front.pid))
    assert ready["version"].startswith("3.")
    assert (ready["static"], ready["notes"]) == ([], [])


def test_started_is_marked_before_the_application_runs(own, tmp_path):
    front = own()
    front.ready()
    flag = tmp_path / "flag"
    first = front.request("/waits", QUERY_STRING=str(flag))
    second = front.request("/hello")
    poll(lambda: front.mark(0) == first, "never marked")
    assert front.mark(0) != second
    flag.touch()
    front.answer(second)
    assert front.mark(0) == second


def test_a_queued_request_can_be_taken_back(own, tmp_path):
    front = own(lane=None)
    front.ready()
    flag = tmp_path / "flag"
    first = front.request("/waits", QUERY_STRING=str(flag))
    second = front.request("/hello")
    poll(lambda: front.mark(0) == first, "never marked")
    taken = front.theirs.recv(65536, socket.MSG_DONTWAIT)
    assert int.from_bytes(taken[4:8], "little") == second
    flag.touch()
    assert front.answer(first).complete
    assert front.retire() == 0
    assert second not in front.answers


@pytest.mark.parametrize("size, parts, window", [
    (1000, 5, 1 << 20), (200000, 1, 1 << 20), (200000, 3, 1 << 20), (65536, 1, 65536),
    (100000, 2, 10000), (1000, 3, 1), (40000, 2, 65536),
])
def test_body_frames_stay_within_the_window(own, size, parts, window):
    front = own(window=window)
    front.ready()
    if window == 1:
        size, parts = 7, 3
    id = front.request("/big", QUERY_STRING="%d,%d" % (size, parts))
    left, answer = window, None
    while answer is None or not answer.complete:
        if answer is not None and left < min(window, 65536):
            front.grant(0, window - left)
            left = window
        before = len(answer.body) if answer else 0
        assert front.step() is not None
        answer = front.answers[id]
        left -= len(answer.body) - before
        assert left >= 0, "the window is overdrawn"
    assert answer.body == b"".join(bytes([65 + part]) * size for part in range(parts))


def test_the_window_carries_over_between_requests(own):
    front = own(window=10)
    front.ready()
    assert front.answer(front.request("/hello")).complete
    assert front.answer(front.request("/hello")).complete
    third = front.request("/hello")
    poll(lambda: front.mark(0) == third, "never marked")
    assert not select.select([front.channel], [], [], 0.1)[0]
    front.grant(0, 5)
    assert front.answer(third).complete


def test_a_front_that_dies_frees_a_worker_without_credit(own):
    front = own(window=10)
    front.ready()
    id = front.request("/big", QUERY_STRING="100,1")
    poll(lambda: front.mark(0) == id, "never marked")
    front.die()
    assert front.wait() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_the_heart_beats_where_that_is_wanted(own, threads):
    front = own(threads=threads, heartbeat=40)
    front.ready()
    seen = front.heartbeat()
    poll(lambda: front.heartbeat() != seen, "it stands still")
    assert front.answer(front.request("/hello")).complete
    assert front.retire() == 0


ENDLESS = "('200 OK', [], Closing(%s))"


@pytest.mark.parametrize("parts, told", [
    ("iter(lambda: b'x', None)", "between two frames"),
    ("iter(lambda: b'', None)", "between two frames, with no part to send"),
    ("[b'x' * 100] * 2", "while it waits for credit"),
    ("[b'x' * 10] * 10", "while it waits for credit for the second frame"),
])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_client_that_leaves_ends_a_stream(own, parts, told, threads):
    endless = "iter" in parts
    front = own(window=1 << 30 if endless else 15, threads=threads)
    front.ready()
    id = front.request("/answers", QUERY_STRING=ENDLESS % parts)
    poll(lambda: id in [front.mark(slot) for slot in range(threads)], "never marked")
    slot = [front.mark(slot) for slot in range(threads)].index(id)
    front.cancel(slot, id)
    answer = front.answer(id)
    assert "client has gone" in answer.aborted and not answer.logs
    front.cancel(slot, 0)
    front.grant(slot, 1000)
    assert front.answer(front.request("/happened")).body == b"closed"
    assert not front.errors()


@pytest.mark.parametrize("length", ["", "('Content-Length', '100')"])
@pytest.mark.parametrize("parts", [
    "[b'x' * 100]", "Closing([b'x' * 100])", "(b'x' * 10, b'x' * 90)", "iter([b'x' * 10, b'x' * 90])",
])
def test_a_client_that_leaves_while_the_last_part_waits_for_credit(own, length, parts):
    front = own(window=15)
    front.ready()
    for _ in range(3):  # the second time its head is remembered
        id = front.request("/answers", QUERY_STRING="('200 OK', [%s], %s)" % (length, parts))
        while len(front.answers[id].body if id in front.answers else b"") < 10:
            assert front.step() is not None
        front.cancel(0, id)
        answer = front.answer(id)
        assert "client has gone" in answer.aborted and not answer.logs
        front.cancel(0, 0)
        front.grant(0, len(answer.body))
    assert not front.errors()


def test_a_client_that_leaves_a_write_of_all_an_application_gives(own):
    front = own(window=15)
    front.ready()
    id = front.request("/writes_all")
    assert front.step() is not None
    front.cancel(0, id)
    answer = front.answer(id)
    assert "client has gone" in answer.aborted and not answer.logs
    front.cancel(0, 0)
    front.grant(0, 15)
    assert front.answer(front.request("/happened")).body == b"told"


@pytest.mark.parametrize("path", ["/hello", "/raises", "/forgets_start"])
def test_a_client_that_leaves_before_an_answer_has_credit(own, path):
    front = own(window=10)
    front.ready()
    assert front.answer(front.request("/hello")).complete
    assert front.answer(front.request("/hello")).complete  # that is all of it
    id = front.request(path)
    poll(lambda: front.mark(0) == id, "never marked")
    front.cancel(0, id)
    assert "client has gone" in front.answer(id).aborted
    front.cancel(0, 0)
    front.grant(0, 10)
    assert front.answer(front.request("/hello")).complete


@pytest.mark.parametrize("body, happened", [
    ("writes_until_told", b"told,closed"), ("writes_on", b"told,told"), ("stops_by_itself", b"told"),
])
def test_write_tells_that_the_client_has_left(own, tmp_path, body, happened):
    front = own()
    front.ready()
    flag = tmp_path / "flag"
    id = front.request("/" + body, QUERY_STRING=str(flag))
    poll(lambda: front.mark(0) == id, "never marked")
    front.cancel(0, id)
    flag.touch()
    front.answer(id)
    assert front.answer(front.request("/happened")).body == happened
    assert not front.errors()


def test_what_an_application_returns_whole_is_answered_though_its_client_left(own, tmp_path):
    front = own()
    front.ready()
    flag = tmp_path / "flag"
    id = front.request("/waits", QUERY_STRING=str(flag))
    poll(lambda: front.mark(0) == id, "never marked")
    front.cancel(0, id)
    flag.touch()
    assert front.answer(id).complete


def test_a_cancelled_request_is_not_the_next_one(own):
    front = own()
    front.ready()
    id = front.request("/generator", QUERY_STRING="a,b")
    front.answer(id)
    front.cancel(0, id)
    assert front.answer(front.request("/generator", QUERY_STRING="a,b")).body == b"ab"


def test_a_front_that_dies_ends_an_endless_response(own):
    front = own()
    front.ready()
    front.request("/answers", QUERY_STRING="('200 OK', [], iter(lambda: b'x', None))")
    front.receive()
    front.die()
    assert front.wait() == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_retiring_finishes_what_runs(own, tmp_path, threads):
    front = own(threads=threads)
    front.ready()
    flag = tmp_path / "flag"
    ids = [front.request("/waits", QUERY_STRING=str(flag)) for _ in range(threads)]
    poll(lambda: {front.mark(slot) for slot in range(threads)} == set(ids), "never marked")
    front.channel.shutdown(socket.SHUT_WR)
    flag.touch()
    for id in ids:
        assert front.answer(id).complete
    assert front.wait() == 0


def test_threads_run_requests_side_by_side(own, tmp_path):
    front = own(threads=4)
    front.ready()
    flag = tmp_path / "flag"
    ids = [front.request("/waits", QUERY_STRING=str(flag)) for _ in range(3)]
    environ = front.answer(front.request("/shows_environ")).body
    assert ast.literal_eval(environ.decode())["wsgi.multithread"] is True
    flag.touch()
    names = {front.answer(id).body for id in ids}
    assert len(names) == 3
    assert [name for name in names if not name.startswith(b"alicorn-")] == []


def test_one_thread_is_the_main_thread(shared):
    assert shared.get("/waits", QUERY_STRING="/").body == b"MainThread"


@pytest.mark.parametrize("threads", [1, 2])
def test_sys_exit_answers_500_and_ends_the_worker_with_its_code(own, threads):
    front = own(threads=threads)
    front.ready()
    answer = front.answer(front.request("/exits", QUERY_STRING="7"))
    assert answer.status == "500 Internal Server Error"
    assert front.step().kind == "B" and "sys.exit(7)" in front.left_reason
    assert front.retire() == 7


def test_sys_exit_after_the_head_aborts(own):
    front = own()
    front.ready()
    answer = front.answer(front.request("/exits_late"))
    assert (answer.body, answer.complete) == (b"some", False)
    assert front.retire() == 9


def test_sys_exit_lets_other_threads_finish(own, tmp_path):
    front = own(threads=2)
    front.ready()
    flag = tmp_path / "flag"
    slow = front.request("/waits", QUERY_STRING=str(flag))
    front.answer(front.request("/exits", QUERY_STRING="5"))
    front.channel.shutdown(socket.SHUT_WR)
    flag.touch()
    assert front.answer(slow).complete
    assert front.wait() == 5


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("how", ["SIGTERM", "SIGINT", "SIGQUIT", "raised", "by itself"])
def test_termination_is_a_request_to_be_retired(own, threads, how):
    front = own(threads=threads)
    front.ready()
    if how.startswith("SIG"):
        os.kill(front.pid, getattr(signal, how))
    else:
        front.answer(front.request("/interrupted" if how == "raised" else "/terminates"))
    while front.left_reason is None:
        assert front.step() is not None
    assert front.left_reason == {"raised": "KeyboardInterrupt", "by itself": "SIGTERM"}.get(how, how)
    assert front.answer(front.request("/hello")).complete, "what was on its way is served"
    assert front.retire() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_that_whoever_started_the_server_ignores_is_handled(own, number):
    """As a shell does for what it starts in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        front = own(threads=1)
    finally:
        signal.signal(number, before)
    front.ready()
    os.kill(front.pid, number)
    while front.left_reason is None:
        assert front.step() is not None
    assert front.left_reason == number.name
    assert front.retire() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_hangup_does_nothing(own, threads):
    front = own(threads=threads)
    front.ready()
    for _ in range(3):
        os.kill(front.pid, signal.SIGHUP)
        assert front.answer(front.request("/hello")).complete
    assert front.left_reason is None
    assert front.retire() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_signal_that_interrupts_no_wait_is_handled(own, threads):
    """Python's handlers run in the main thread, which may just begin to wait then."""
    front = own(threads=threads)
    front.ready()
    front.answer(front.request("/crowd"))  # has another thread run
    task = "/proc/%d/task" % front.pid

    def waits():
        with open("%s/%d/stat" % (task, front.pid)) as file:
            return file.read().rpartition(")")[2].split()[0] == "S"

    poll(waits, "it runs on")
    other = next(int(name) for name in os.listdir(task) if int(name) != front.pid)
    assert ctypes.CDLL(None).tgkill(front.pid, other, int(signal.SIGTERM)) == 0
    while front.left_reason is None:
        assert front.step() is not None
    assert front.left_reason == "SIGTERM"
    assert front.retire() == 0


def test_an_interrupt_interrupts_no_request(own):
    front = own()
    front.ready()
    assert front.get("/interrupts").body == b"not interrupted"
    assert front.left_reason == "SIGINT"
    assert front.retire() == 0


def test_application_keeps_its_own_handler(own, tmp_path):
    (tmp_path / "handler.py").write_text(
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return []\n")
    for threads in (1, 2):
        front = own("handler:app", tmp_path, threads=threads)
        front.ready()
        front.answer(front.request())  # the worker has left its boot behind
        os.kill(front.pid, signal.SIGTERM)
        assert front.step().kind == "B"
        assert front.retire() == 4


def test_atexit_runs(own, tmp_path):
    (tmp_path / "leaves.py").write_text(
        "import atexit\natexit.register(print, 'left')\n"
        "def app(environ, start_response): pass\n")
    front = own("leaves:app", tmp_path)
    front.ready()
    assert front.retire() == 0
    assert front.output() == "left\n"


@pytest.mark.parametrize("when", ["import", "request"])
def test_stacks_are_dumped_on_demand(own, tmp_path, when):
    (tmp_path / "hangs.py").write_text(
        "import time\n"
        "def hang():\n    print('hanging')\n    time.sleep(60)\n"
        "def app(environ, start_response):\n    hang()\n"
        + ("hang()\n" if when == "import" else ""))
    front = own("hangs:app", tmp_path)
    if when == "request":
        front.ready()
        front.request("/")
    poll(lambda: "hanging" in front.output(), "never hung")
    os.kill(front.pid, signal.SIGUSR2)
    assert front.dumps("hangs.py")


def test_children_inherit_no_descriptor_of_ours(own):
    front = own(threads=2)
    front.ready()
    inherited = ast.literal_eval(front.get("/descriptors").body.decode())
    # 3 is what lists them; above 8 may be what the tests themselves were given
    assert [number for number in inherited if number < 9] == [0, 1, 2, 3]


def test_a_fork_that_returns_cannot_answer(own):
    front = own()
    front.ready()
    answer = front.answer(front.request("/forks"))
    assert answer.body == b"0"
    assert front.answer(front.request("/hello")).body == b"hello"


def test_a_fork_exits_as_it_asked(own):
    front = own()
    front.ready()
    assert front.answer(front.request("/forks_exit")).body == b"21"
    assert front.left_reason is None


def test_descriptors_do_not_leak(own, tmp_path):
    front = own()
    front.ready()

    def held():
        return len(os.listdir("/proc/%d/fd" % front.pid))
    before = held()
    for _ in range(5):
        front.get("/body", method="POST", body=b"x", spooled=True, long=True, QUERY_STRING="i")
        front.get("/file", QUERY_STRING="open(%r, 'rb')" % __file__)
        front.get("/raises", method="POST", body=b"x", spooled=True)
    assert held() <= before + 1  # the last file an application keeps


def test_the_memory_of_large_bodies_is_used_again(own):
    front = own()
    front.ready()
    pages = 64 * 65536 // resource.getpagesize()
    taken = int(front.get("/faults").body)
    assert taken < pages / 10, "%d of %d pages were fetched anew" % (taken, pages)


def test_lost_descriptors_are_answered_500(own):
    front = own()
    front.ready()
    front.get("/exhausts")
    answer = front.get("/body", method="POST", body=b"x", spooled=True)
    assert answer.status[:3] == "500" and "open files" in answer.logs[0]
    front.get("/exhausts", QUERY_STRING="release")
    assert front.get("/body", method="POST", body=b"x", spooled=True,
                     QUERY_STRING="i.read()").body == b"b'x'"


def test_what_the_front_must_not_send_ends_the_worker(own):
    front = own()
    front.ready()
    front.channel.send(b"Z" * 20)
    assert front.wait() == 1
    assert "ProtocolError" in front.errors()


def test_a_front_that_sends_nothing_ends_the_worker(own):
    front = own()
    front.ready()
    front.channel.shutdown(socket.SHUT_WR)
    assert front.wait() == 0


@pytest.mark.parametrize("threads", [1, 3])
def test_a_worker_whose_descriptors_the_application_has_closed_ends(own, threads):
    front = own(threads=threads)
    front.ready()
    front.request("/closes", QUERY_STRING="3")
    assert front.wait() == 1  # though its other threads wait on the channel
    assert "closed descriptors of its worker" in front.errors()


@pytest.mark.parametrize("how, told", [
    ("shy", "error in GET /fails_unseen (request %(id)s)\nShy (its traceback cannot be shown: ValueError)"),
    ("environ", "error in a request whose environ cannot be shown (request %(id)s)\nTraceback"),
    ("closed", "error in GET /fails_unseen (request %(id)s)\nTraceback"),
    ("gone", "KeyError: 'gone'"),
])
def test_a_failure_leaves_a_trace_whatever_the_application_broke(own, how, told):
    front = own()
    front.ready()
    first = front.request("/fails_unseen", QUERY_STRING=how)
    assert front.answer(first).status[:3] == "500"
    key = bytes.fromhex(front.settings["request_key"])
    number = hashlib.sha256(key + first.to_bytes(4, "little")).hexdigest()[:32]
    assert told % {"id": number} in front.errors()
    assert front.get("/hello").body == b"hello"
