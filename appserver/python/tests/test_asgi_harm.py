"""What an ASGI application, or its front, gets wrong harms nobody else. By the protocol."""

import os
import re
import signal
import socket
import struct

import pytest

from asgifront import SCOPE
from front import HERE
from test_process import poll
from test_validate import INTERPRETERS

HEAD = dict(SCOPE, **{"=method": "HEAD"})


def credit(front, id, size):
    front.say(("G", 0, id, struct.pack("<I", size)))


def test_what_a_request_sets_in_its_context_is_its_own(asgi):
    front = asgi(streams=1)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        first = front.ask("/names", stream=theirs)
        poll(lambda: front.page[16 * first] == first, "it does not start")
        others = [front.ask("/whose") for _ in range(3)]
        ours.sendall(struct.pack("<I", 0))
        assert [front.answer(id).body for id in others] == [b"nobody"] * 3


@pytest.mark.parametrize("path, status", [
    ("/hint_splits", "500"), ("/hint_long", "500"), ("/head_long", "500"),
    ("/trailers_split", "200"), ("/trailers_long", "200"), ("/trailers_frame", "200")])
def test_fields_that_a_client_must_not_see(asgi, path, status):
    front = asgi()
    answer = front.fetch(path)
    assert answer.status[:3] == status and (status == "500" or answer.aborted)
    assert "I" not in answer.kinds
    assert "Refused" in front.errors()
    assert front.fetch("/").body == b"hello"


def test_hints_come_first_and_trailers_together(asgi):
    front = asgi()
    assert front.fetch("/hinted").kinds == "IH"
    answer = front.fetch("/trailers_twice")
    assert answer.frames[-1].flags == 5
    assert answer.frames[-1].value == [("x-a", "1"), ("x-b", "2")]


def test_what_two_tasks_send_stays_apart(asgi):
    front = asgi()
    id, given = front.ask("/together"), 0
    answer = front.answers[id]
    while not answer.complete:
        front.step()
        if len(answer.body) > given:
            credit(front, id, len(answer.body) - given)
            given = len(answer.body)
    assert answer.body == b"a" * 400000 + b"b" * 400000
    id = front.socket("/together")
    front.next("A")
    for letter in b"ab":
        text, flags = b"", 0
        while not flags & 1:
            frame = front.next("M")
            credit(front, id, len(frame.payload) + 64)
            text, flags = text + frame.payload, frame.flags
        assert text == bytes([letter]) * 300000


def test_who_waits_for_the_message_of_another_task_looks_but_once(asgi):
    front = asgi(window=200)  # a message costs 65 bytes and more
    id = front.socket("/crowded")
    front.next("A")
    texts = []
    while len(texts) < 900:
        frame = front.next("M")
        credit(front, id, len(frame.payload) + 64)
        texts.append(int(frame.payload))
    assert texts == [number for number in range(1000) if not 500 <= number < 600]
    poll(lambda: front.output(), "the application does not end")
    resumed = int(front.output().split()[1])
    assert resumed <= 4 * 1000, "1000 messages have woken their tasks %d times" % resumed


def test_failure_without_a_free_descriptor_is_a_500_with_its_request(asgi):
    front = asgi()
    for _ in range(2):
        assert front.fetch("/fails_full").status == "500 Internal Server Error"
        assert re.search(r"error in GET /fails_full \(request [0-9a-f]{32}\)\n", front.errors())
    assert front.fetch("/").body == b"hello"


def test_a_response_without_a_body_is_complete(asgi):
    front = asgi()
    assert front.fetch("/endless", fixed=HEAD).complete
    poll(lambda: front.output() == "left\n", "the application does not hear of it")
    assert front.fetch("/sends_on", fixed=HEAD).complete
    poll(lambda: front.output() == "left\ntold\n", "the application does not end")
    assert front.errors() == ""
    answer = front.fetch("/file", fixed=HEAD)
    assert answer.header("content-length") == str(os.path.getsize(HERE / "asgiapplications.py"))
    assert front.fetch("/").body == b"hello"


@pytest.mark.parametrize("path, logged", [
    ("/sends_on", ""), ("/disconnect_follows", ""), ("/fails_then", "a defect of its own"),
    ("/fails_beside", "the order was not saved")])
def test_who_sends_to_a_client_that_has_gone_is_told(asgi, path, logged):
    front = asgi()
    id = front.ask(path)
    front.next("D")
    front.say(("C", 0, id, b"\0"))
    assert front.answer(id).aborted == "its client has gone"
    assert front.retire() == 0
    assert front.output() == "told\nshut down\n"
    assert logged in front.errors() if logged else front.errors() == ""


def test_what_follows_an_answer_is_done_without_a_client(asgi):
    front = asgi()
    id = front.ask("/answers_late")
    poll(lambda: front.page[16 * id] == id, "it does not start")
    front.say(("C", 0, id, b"\0"))
    assert front.answer(id).aborted == "its client has gone"
    assert front.retire() == 0
    assert front.output() == "worked on\nshut down\n" and front.errors() == ""


def test_who_answers_a_closed_socket_is_not_to_blame(asgi):
    front = asgi()
    id = front.socket("/left")
    front.next("A")
    front.say(("M", 3, id, b"hi"), ("Q", 0, id, struct.pack("<H", 1001)))
    assert front.retire() == 0
    assert front.errors() == ""


@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_a_signal_does_not_interrupt_the_worker_at_work(asgi, loop):
    front = asgi(loop=loop)
    for _ in range(30):
        beside = front.ask("/")
        answer = front.answer(front.ask("/fires"))
        assert answer.aborted or answer.status[:3] == "500" or len(answer.body) % 50 == 2
        assert front.answer(beside).body == b"hello"
    assert front.retire() == 0


def test_a_signal_in_the_loop_asks_to_be_retired(asgi):
    front = asgi(loop="asyncio")
    id = front.ask("/ends_the_loop")
    assert front.answer(id).body == b"hello"
    assert front.left_reason == "an exception has ended the event loop"
    assert "asgiapplications.Boom" in front.errors()
    assert front.fetch("/").body == b"hello"
    assert front.retire() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_termination_is_a_request_to_be_retired(asgi, loop, number):
    front = asgi(loop=loop)
    os.kill(front.pid, signal.SIGHUP)
    assert front.fetch("/").body == b"hello"
    os.kill(front.pid, number)
    while front.left_reason is None:
        front.step()
    assert front.left_reason == number.name
    assert front.fetch("/").body == b"hello"
    assert front.retire() == 0


@pytest.mark.parametrize("path, stripped, seen", [
    ("/scope", False, "/api/scope"), ("/api/scope", False, "/api/scope"),
    ("/scope", True, "/api/scope"), ("/api/scope", True, "/api/api/scope")])
def test_paths_begin_with_the_root_path(asgi, path, stripped, seen):
    front = asgi("asgiapplications:shows_path", stripped=stripped)
    assert front.fetch(path, fixed=dict(SCOPE, **{"=root_path": "/api"})).body == seen.encode()


def test_a_starlette_of_old_gets_paths_as_they_come(asgi):
    front = asgi("asgiapplications:old_starlette()", stripped=True)
    assert front.fetch("/scope", fixed=dict(SCOPE, **{"=root_path": "/api"})).body == b"/scope"


def test_headers_are_those_of_their_message(asgi):
    answer = asgi().fetch("/changes_headers")
    assert answer.headers == [("x-id", "first"), ("x-a", "1"), ("Content-Length", "4")]


@pytest.mark.parametrize("path", ["/offset", "/count", "/offset_text"])
def test_files_from_nowhere(asgi, path):
    front = asgi()
    for _ in range(3):
        assert front.fetch(path).status[:3] == "500"
    assert front.retire() == 0
    assert len(set(front.output().splitlines()[:3])) == 1  # descriptors


def test_who_fails_oddly_leaves_its_place(asgi):
    front = asgi(streams=1)
    id = front.ask("/fails_oddly")
    poll(lambda: front.page[16 * id] == id, "it does not start")
    front.say(("C", 0, id, b"\0"))
    assert front.answer(id).aborted
    assert front.fetch("/").body == b"hello"


def test_a_head_does_not_wait_for_its_body_for_long(asgi):
    front = asgi(heartbeat=40)
    id = front.ask("/head_first")
    frame = front.next("H")
    assert frame.id == id and not frame.flags & 1


def test_who_ends_all_tasks_or_the_loop_does_not_end_others(asgi):
    front = asgi()
    waits = front.ask("/waits")
    poll(lambda: front.page[16 * waits] == waits, "it does not start")
    assert front.fetch("/stops_the_loop").body == b"goes on"
    while front.left_reason is None:
        front.step()
    assert "stopped the event loop" in front.left_reason
    assert front.fetch("/cancels_all").body == b"cancelled"
    assert front.answer(waits).status[:3] == "500"
    assert front.fetch("/").body == b"hello"
    assert front.retire() == 0


@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_the_loop_is_there_when_the_application_is_imported(asgi, loop):
    front = asgi("asgiapplications:loop_at_import()", loop=loop)
    assert front.fetch("/").body == b"True"


def test_threads_may_send(asgi):
    front = asgi()
    assert [front.fetch("/thread_sends").body for _ in range(3)] == [b"http.request"] * 3


def test_who_receives_for_ever_leaves_others_time(asgi):
    front = asgi()
    id, web = front.ask("/receives_for_ever"), front.socket("/receives_for_ever")
    front.next("A")
    front.say(("C", 0, id, b"\0"), ("Q", 0, web, struct.pack("<H", 1001)))
    assert front.fetch("/").body == b"hello"
    assert front.fetch("/file").complete


@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_a_recursion_without_end_harms_itself_alone(asgi, loop):
    front = asgi(streams=2, loop=loop)
    for depth in range(940, 1000):
        front.answer(front.ask("/sends_deeply", query=str(depth)))
    front.answer(front.ask("/walks"))
    assert front.fetch("/").body == b"hello"
    assert front.fetch("/fails_late").aborted
    assert front.retire() == 0


@pytest.mark.parametrize("loop", ["asyncio", "auto"])
def test_what_keeps_a_retired_worker_is_named_and_cancelled(asgi, loop):
    front = asgi(loop=loop, heartbeat=40)
    id = front.ask("/works_on")
    assert front.answer(id).body == b"answered"
    front.channel.shutdown(socket.SHUT_WR)
    beats = front.heartbeat()
    poll(lambda: front.heartbeat() > beats + 2, "the loop does not turn")  # it has heard of that
    os.kill(front.pid, signal.SIGTERM)
    while front.step() is not None:
        pass
    assert front.wait() == 0
    assert "GET /works_on has not ended" in front.answers[id].logs[0]
    assert front.output() == "cancelled\nshut down\n"


def test_a_request_to_be_retired_cancels_nothing(asgi, tmp_path):
    front = asgi(loop="asyncio")
    flag = tmp_path / "flag"
    flag.touch()
    id = front.ask("/told", query=str(flag))
    poll(lambda: not flag.exists(), "the request has not begun")
    front.channel.shutdown(socket.SHUT_WR)
    flag.touch()
    assert front.answer(id).body == b"whole"
    assert front.wait() == 0


def test_a_fifo_is_not_sent(asgi, tmp_path):
    front = asgi(environ={"TMPDIR": str(tmp_path)})
    assert front.fetch("/fifo").status[:3] == "500"
    assert "not a regular file" in front.errors()


def test_who_is_started_may_be_interrupted(asgi):
    assert asgi().fetch("/starts_a_program").body == b"-2"


def test_a_closed_socket_may_be_closed_and_types_decide(asgi):
    front = asgi()
    id = front.socket("/closes_late")
    front.next("A")
    front.say(("Q", 0, id, struct.pack("<H", 1001)))
    poll(lambda: front.output() == "saved\n", "close() raises")
    front.socket("/mixes_types")
    front.next("A")
    assert [(frame.flags, frame.payload) for frame in (front.next("M"), front.next("M"))] == [
        (1, b"bytes"), (3, b"text")]
    assert front.errors() == ""


def test_many_late_requests_are_one_report(asgi):
    front = asgi()
    ids = [front.ask("/hangs") for _ in range(5)]
    poll(lambda: all(front.page[16 * id] == id for id in ids), "they do not start")
    front.say(*(("C", 0, id, b"\1") for id in ids))
    assert [id for id in ids if not front.answer(id).aborted] == []
    stacks = os.read(front.diagnostics, 1 << 16).decode()
    assert stacks.count("stacks of all tasks") == 1 and stacks.count("past timeout") == 5
    assert front.retire() == 0


def test_who_swallows_its_cancellation_is_named(asgi):
    front = asgi()
    id = front.ask("/swallows")
    poll(lambda: front.page[16 * id] == id, "it does not start")
    front.say(("C", 0, id, b"\1"))
    answer = front.answer(id)
    while not answer.logs:
        front.step()
    assert "GET /swallows goes on 2 s after it was cancelled" in answer.logs[0] + answer.aborted
    assert front.output() == "cancelled\n"


def test_a_fork_leaves_the_loop_to_its_parent(asgi):
    front = asgi()
    assert front.fetch("/forks").body == b"0"
    assert front.fetch("/").body == b"hello"
    assert front.retire() == 0


@pytest.mark.parametrize("descriptor", [5, 9])
def test_who_closes_the_channels_is_told(asgi, descriptor):
    front = asgi(heartbeat=40)
    front.ask("/closes", query=str(descriptor))
    while front.step() is not None:
        pass
    assert front.wait() == 1
    assert "closed descriptors" in front.errors()


@pytest.mark.parametrize("way, frame", [
    ("channel", b"Z" * 20), ("stream", b"\x05\0\0\0abc")])
def test_a_front_that_is_not_understood_ends_the_worker(asgi, way, frame):
    front = asgi()
    (front.channel if way == "channel" else front.bells[0]).send(frame)
    while front.step() is not None:
        pass
    assert front.wait() == 1
    assert "Traceback" in front.errors()


def test_what_is_sent_is_taken_before_the_worker_ends(asgi):
    front = asgi(window=1 << 24)
    id = front.ask("/parts")
    assert front.retire() == 0
    assert front.answers[id].complete and len(front.answers[id].body) == 20 * 50000 + 3


def test_tasks_that_are_left_end_with_the_worker(asgi):
    front = asgi()
    assert front.fetch("/leaves").body == b"left"
    assert front.retire() == 0
    assert front.output() == "shut down\nended\n"


def test_sys_exit_in_tasks_ends_the_worker_when_it_is_retired(asgi):
    front = asgi()
    ids = [front.ask("/subtask_exits") for _ in range(3)]
    assert [front.answer(id).body for id in ids] == [b"goes on"] * 3
    assert "sys.exit(7)" in front.left_reason
    assert front.retire() == 7


def test_a_file_that_is_sent_keeps_its_position(asgi):
    front = asgi()
    with open(HERE / "asgiapplications.py", "rb") as file:
        assert front.fetch("/zerocopy").body == file.read()[3:13]
    poll(lambda: front.output() == "at 5\n", "the position has changed")


def test_one_of_two_that_receive_may_be_cancelled(asgi):
    front = asgi()
    ours, theirs = socket.socketpair()
    with ours, theirs:
        id = front.ask("/receives", stream=theirs)
        poll(lambda: front.output() == "waiting\n", "it does not start")
        ours.sendall(struct.pack("<I", 3) + b"abc")
        assert front.answer(id).body == b"abc"


def test_messages_that_nobody_receives_are_not_paid_back(asgi):
    front = asgi()
    id = front.socket("/deaf")
    front.next("A")
    parts = [("M", 0, id, b"x" * 22000)] * 3
    for part in parts:
        front.say(part)
    assert struct.unpack("<I", front.next("G").payload) == (66000 + 3 * 64,)
    for part in [("M", 1, id, b"x"), *parts]:
        front.say(part)
    front.fetch("/file")  # which the stream channel brings behind
    assert "G" not in front.answers[id].kinds


def test_messages_of_wide_items_and_ends_with_odd_reasons(asgi):
    front = asgi()
    id = front.socket("/wide")
    front.next("A")
    data, flags = b"", 0
    while not flags & 1:
        frame = front.next("M")
        data, flags = data + frame.payload, frame.flags
    assert data == struct.pack("<40000H", *range(40000))
    front.next("Q")
    for path in ("/reason_number", "/reason_surrogate"):
        id = front.socket(path)
        front.next("A")
        assert front.next("X").id == id
    front.socket("/reason_long")
    front.next("A")
    assert front.next("Q").payload[2:].decode() == "\xe9" * 61
    assert front.answer(front.socket("/accepts_long")).status[:3] == "500"
    assert front.fetch("/").body == b"hello"


def test_a_message_that_is_given_up_ends_its_socket(asgi):
    front = asgi()
    id = front.socket("/gives_up")
    front.next("A")
    assert front.next("X").id == id
    poll(lambda: front.output() == "too slow\n", "send() does not end")


def test_a_start_that_takes_long_can_be_ended(asgi):
    front = asgi("asgiapplications:startup_hangs", ready=False)
    poll(lambda: front.output() == "starting\n", "it does not start")
    os.kill(front.pid, signal.SIGTERM)
    assert front.wait() == -signal.SIGTERM


def test_a_lifespan_that_fails_at_its_start_is_logged(asgi):
    front = asgi("asgiapplications:lifespan_fails_early")
    assert front.fetch("/").body == b"hello"
    assert "goes on without: Traceback" in front.errors() and "no database" in front.errors()
    assert asgi("asgiapplications:without_lifespan").errors() == ""


def test_a_lifespan_that_fails_later_is_logged(asgi):
    front = asgi("asgiapplications:lifespan_fails_later")
    poll(lambda: "lifespan has ended: Traceback" in front.errors(), "nothing is logged")
    assert front.fetch("/").body == b"hello"
    assert front.retire() == 0


@pytest.mark.parametrize("python", INTERPRETERS)
def test_tasks_may_start_at_once(asgi, python):
    front = asgi("asgiapplications:eager", python=python)
    assert [front.fetch(path).body for path in ("/", "/body", "/after")] == [
        b"hello", b"http.request 1 0", b"answered"]
    assert front.retire() == 0


def test_debug_information_is_for_the_debug_log(asgi):
    assert "debug" not in asgi().fetch("/scope").body.decode()
    assert "http.response.debug" in asgi(log_level="debug").fetch("/scope").body.decode()
