"""The ASGI worker, by its protocol."""

import os
import socket
import struct
import tempfile

import pytest

from asgifront import SCOPE, WINDOW
from front import HERE
from test_process import poll
from test_validate import INTERPRETERS


@pytest.mark.parametrize("python", INTERPRETERS)
def test_an_asgi_worker_works_on(asgi, python):
    front = asgi(python=python)
    assert front.fetch("/").body == b"hello"
    ids = [front.ask("/parts"), front.ask("/body", body=b"abc"), front.ask("/after")]
    given = 0
    while not front.answers[ids[0]].complete:
        front.step()
        size = len(front.answers[ids[0]].body)
        if size - given > WINDOW // 2:
            front.say(("G", 0, ids[0], struct.pack("<I", size - given)))
            given = size
    assert len(front.answers[ids[0]].body) == 20 * 50000 + 3
    assert front.answer(ids[1]).body == b"http.request 1 3"
    assert front.answer(ids[2]).body == b"answered"
    id = front.socket("/")
    front.next("A")
    front.say(("M", 1 | 2, id, "h\xe9".encode()))
    frame = front.next("M")
    assert frame.payload == "h\xe9".encode() and frame.flags == 3
    front.say(("Q", 0, id, struct.pack("<H", 1001)))
    assert front.retire() == 0
    assert front.errors() == ""
    assert sorted(front.output().splitlines()) == ["left with 1001", "shut down", "worked on"]


def test_the_scope_is_what_the_specification_says(asgi):
    fields = [("host", "h"), ("x", "1"), ("x", "2")]
    scope = eval(asgi().fetch("/caf%C3%A9%20x", query="a=b%20c", fields=fields).body)
    assert scope == {
        "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1",
        "method": "GET", "scheme": "http", "path": "/caf\xe9 x", "raw_path": b"/caf%C3%A9%20x",
        "query_string": b"a=b%20c", "root_path": "", "client": ("192.0.2.1", 4711),
        "server": ("localhost", 80), "headers": [(b"host", b"h"), (b"x", b"1"), (b"x", b"2")],
        "state": {"started": True}, "extensions": scope["extensions"]}


def test_the_scope_of_other_requests(asgi):
    front = asgi()
    fixed = dict(SCOPE, **{"=server_port": "", "=server": "/run/x", "=root_path": "/api"})
    del fixed["=method"]
    answer = front.fetch("/scope", client=("", ""), fixed=fixed, method="PURGE", tls_version="772")
    scope = eval(answer.body)
    assert scope["method"] == "PURGE" and scope["client"] is None
    assert scope["server"] == ("/run/x", None) and scope["extensions"]["tls"]["tls_version"] == 772
    assert (scope["path"], scope["root_path"]) == ("/api/scope", "/api")


@pytest.mark.parametrize("path, status, body, logged", [
    ("/fails", "500", b"Internal Server Error\n", None),
    ("/silent", "500", b"Internal Server Error\n", "without a response"),
    ("/lists", "200", b"lists", None),
    ("/longer", "500", b"Internal Server Error\n", None),
])
def test_what_an_application_gets_wrong(asgi, path, status, body, logged):
    front = asgi()
    for _ in range(3):
        answer = front.fetch(path)
        assert (answer.status[:3], answer.body) == (status, body)
        while logged and not answer.logs:
            front.step()  # what is logged comes by the other channel
        assert logged is None or logged in answer.logs[0]
    assert front.fetch("/").body == b"hello"


def test_a_response_that_fails_late_is_broken_off(asgi):
    front = asgi()
    answer = front.fetch("/fails_late")
    assert answer.status[:3] == "200" and answer.body == b"part" and answer.aborted


def test_bodies_come_whole_or_by_parts(asgi):
    front = asgi()
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 200000)
        file.flush()
        assert front.fetch("/body", spooled=file, length="200000").body == b"http.request 4 200000"
    ours, theirs = socket.socketpair()
    with ours, theirs:
        id = front.ask("/body", stream=theirs)
        for part in (b"abc", b"defg", b""):
            ours.sendall(struct.pack("<I", len(part)) + part)
        assert front.answer(id).body.endswith(b" 7")
        lost = front.ask("/body", stream=theirs)
    assert front.answer(lost).aborted == "its client has gone"


@pytest.mark.parametrize("path, reason, prints", [
    ("/waits", 0, "heard http.disconnect\n"), ("/waits", 2, "heard http.disconnect\n"),
    ("/hangs", 1, "cancelled\n")])
def test_a_request_is_cancelled(asgi, path, reason, prints):
    front = asgi()
    id = front.ask(path)
    front.answer(front.ask("/"))
    front.say(("C", 0, id, bytes([reason])))
    answer = front.answer(id)
    assert answer.aborted if reason < 2 else answer.status[:3] == "500"
    poll(lambda: front.output() == prints, "the application hears nothing")
    if reason == 1:
        stacks = os.read(front.diagnostics, 1 << 16).decode()
        assert "GET /hangs" in stacks and "in hangs" in stacks


def test_files_hints_and_trailers(asgi):
    front = asgi()
    answer = front.fetch("/file")
    with open(HERE / "asgiapplications.py", "rb") as file:
        assert answer.body == file.read()
    id = front.ask("/fields")
    assert front.next("I").value == [("link", "</a.css>; rel=preload")]
    frame = front.next("D")
    while not frame.flags & 1:
        frame = front.next("D")
    assert frame.flags == 5 and frame.value == [("x-sum", "1")] and frame.id == id


def test_sockets_are_refused_and_closed(asgi):
    front = asgi()
    assert front.answer(front.socket("/refuses")).status[:3] == "403"
    denied = front.answer(front.socket("/denies"))
    assert denied.status[:3] == "401" and denied.body == b"nono"
    id = front.socket("/breaks")
    front.next("A")
    assert front.next("X").id == id
    id = front.socket("/", fields=[("sec-websocket-protocol", "chat, talk")])
    assert b"chat" in front.next("A").payload
    front.say(("M", 3, id, b"close"))
    assert front.next("Q").payload == struct.pack("<H", 4000) + b"asked"
    front.say(("Q", 0, id, struct.pack("<H", 4000)))
    assert front.fetch("/").body == b"hello"
    assert front.output() == "left with 4000\n"


def test_messages_give_credit_back(asgi):
    front = asgi()
    id = front.socket("/")
    front.next("A")
    sent = 0
    for _ in range(6):  # more than the window, of one message that is not complete
        front.say(*[("M", 0, id, b"x" * 22000)] * 2)
        front.say(("M", 0, id, b"x" * 22000))
        sent += 66000
        assert struct.unpack("<I", front.next("G").payload) == (66000 + 3 * 64,)
    front.say(("M", 1, id, b"y"), ("G", 0, id, struct.pack("<I", sent)))
    echoed, frame = b"", front.next("M")
    while not frame.flags & 1:
        echoed, frame = echoed + frame.payload, front.next("M")
    assert len(echoed + frame.payload) == sent + 1


@pytest.mark.parametrize("app, lifespan, outcome", [
    ("startup_fails", "auto", "no database"), ("startup_fails", "on", "no database"),
    ("without_lifespan", "auto", None), ("without_lifespan", "off", None),
    ("without_lifespan", "on", "lifespan failed: AssertionError"), ("Single", "off", None)])
def test_the_lifespan(asgi, app, lifespan, outcome):
    front = asgi("asgiapplications:" + app, ready=False, lifespan=lifespan)
    kind, value = front.boot()
    assert kind == ("F" if outcome else "K"), value
    if outcome:
        assert outcome in value["message"]
    else:
        assert value["kind"] == "asgi" and front.fetch("/").body == b"hello"
        assert front.retire() == 0


def test_sys_exit_ends_the_worker_with_its_code(asgi):
    front = asgi()
    id = front.ask("/exits")
    assert front.answer(id).status[:3] == "500"
    while front.left_reason is None:
        front.step()
    assert "sys.exit(7)" in front.left_reason
    assert front.retire() == 7


def test_the_loop_says_that_it_turns(asgi):
    front = asgi(heartbeat=40)
    first = front.heartbeat()
    while front.heartbeat() == first:
        front.fetch("/")
