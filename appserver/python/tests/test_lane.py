"""The lane: who gets a request, which way an answer takes, who is woken."""

import ast
import os
import select
import signal
import struct

import pytest

from alicorn.lane import Hesitation
from front import HEADER, HERE, Frame, Front, Lane
from test_process import poll
from test_validate import INTERPRETERS


@pytest.fixture
def laned():
    """Starts workers that have a lane; laned(requests=..., responses=..., **settings)."""
    fronts = []

    def start(requests=8, responses=4, by="lane", **settings):
        settings.setdefault("app", "applications:app")
        fronts.append(Front(directory=HERE, lane=Lane(requests, responses), by=by, **settings))
        fronts[-1].ready()
        return fronts[-1]

    yield start
    for front in fronts:
        front.__exit__()


def waiting(front, threads=1):
    poll(lambda: front.lane.word(Lane.WAITING) == threads, "never waits")


def published(front, count):
    poll(lambda: front.lane.word(Lane.ANSWERED) == count, "never answered")


def readable(front, seconds=0.0):
    return bool(select.select([front.channel], [], [], seconds)[0])


def block(front, tmp_path):
    """Keeps one thread of the worker at work until the file that is returned exists."""
    flag = tmp_path / ("flag%d" % front.last)
    by, front.by = front.by, "channel"
    id = front.request("/waits", QUERY_STRING=str(flag))
    front.by = by
    poll(lambda: id in [front.mark(slot) for slot in range(front.threads)], "never marked")
    return id, flag


def test_a_worker_without_work_says_that_it_waits(laned):
    front = laned(threads=3)
    waiting(front, 3)
    front.answer(front.request("/hello"))
    waiting(front, 3)


def test_a_request_put_beside_a_waiting_worker_needs_a_wake_up(laned):
    front = laned()
    waiting(front)
    id = front.request("/hello")
    assert front.sent == 1
    assert front.answer(id).body == b"hello"


def test_a_wake_up_without_work_is_ignored(laned):
    front = laned(threads=2)
    waiting(front, 2)
    for _ in range(20):
        front.channel.send(HEADER.pack(ord("W"), 0, 0, 0))
    assert front.answer(front.request("/hello")).body == b"hello"
    waiting(front, 2)
    assert front.retire() == 0


def test_requests_queued_in_the_lane_are_served_in_their_order(laned, tmp_path):
    front = laned(responses=8)
    slow, flag = block(front, tmp_path)
    ids = [front.request("/hello") for _ in range(7)]
    assert front.sent == 0, "a busy worker is not woken"
    flag.touch()
    published(front, 8)
    assert [front.step().id for _ in range(8)] == [slow] + ids


def test_the_front_takes_the_newest_back(laned, tmp_path):
    front = laned()
    slow, flag = block(front, tmp_path)
    ids = [front.request("/hello") for _ in range(3)]
    assert [front.lane.take_back() for _ in range(2)] == [ids[2], ids[1]]
    more = front.request("/hello")
    flag.touch()
    for id in slow, ids[0], more:
        assert front.answer(id).complete
    assert front.lane.take_back() is None
    assert front.retire() == 0
    assert not set(ids[1:]) & set(front.answers)


def test_a_request_taken_back_while_the_worker_is_woken_is_not_served(laned):
    front = laned()
    taken = 0
    for _ in range(300):
        id = front.request("/hello")
        if front.lane.take_back() is None:
            front.answer(id)
        else:
            taken += 1
            assert id not in front.answers
    assert taken, "the worker is never slower than the front"
    waiting(front)
    assert front.answer(front.request("/hello")).body == b"hello"
    assert front.retire() == 0


def test_a_front_that_is_awake_is_answered_by_the_lane(laned):
    front = laned()
    ids = [front.request("/hello") for _ in range(3)]
    published(front, 3)
    assert not readable(front, 0.05)
    assert [front.step().id for _ in range(3)] == ids
    assert front.way == ["lane"] * 3


@pytest.mark.parametrize("by", ["lane", "channel"])
def test_a_front_that_sleeps_is_answered_by_the_channel(laned, by):
    front = laned(by=by)
    front.asleep(1)
    ids = [front.request("/hello") for _ in range(3)]
    assert [front._receive().id for _ in ids] == ids
    assert front.lane.word(Lane.ANSWERED) == 0


def test_answers_that_the_lane_has_no_room_for_go_by_the_channel(laned, tmp_path):
    front = laned(requests=8, responses=2)
    ids = [front.request("/hello") for _ in range(6)]
    poll(lambda: readable(front), "no answer by the channel")
    assert [front._receive().id for _ in ids[2:]] == ids[2:]
    assert front.lane.word(Lane.ANSWERED) == 2
    assert [Frame(front.lane.receive()).id for _ in ids[:2]] == ids[:2]
    front.lane.ids.clear()
    id = front.request("/hello")
    published(front, 3)
    assert Frame(front.lane.receive()).id == id


def test_a_front_that_falls_asleep_meanwhile_is_woken(laned):
    """Toggles ASLEEP until an answer meets it changing; none may be left without a wake-up."""
    front = laned()
    for round in range(2000):
        front.asleep(0)
        id = front.request("/hello")
        for _ in range(round % 50 * 4):
            pass
        front.asleep(1)
        while True:  # as a front does: looks once more, then sleeps on the channel
            data = front.lane.receive()
            frame = Frame(data) if data else front._receive()
            assert frame is not None
            if frame.kind == "W":
                front.woken += 1
                continue
            break
        assert frame.id == id
        front.lane.ids.clear()
    assert front.woken < 2000


@pytest.mark.parametrize("path, environ, way", [
    ("/hello", {}, ["lane"]),
    ("/big", {"QUERY_STRING": "16000,1"}, ["lane"]),
    ("/big", {"QUERY_STRING": "17000,1"}, ["lane"]),
    ("/big", {"QUERY_STRING": "65000,1"}, ["lane"]),
    ("/big", {"QUERY_STRING": "66000,1"}, ["channel"] * 2),
    ("/big", {"QUERY_STRING": "200000,1"}, ["channel"] * 4),
    ("/generator", {"QUERY_STRING": "a,b"}, ["channel"] * 3),
    ("/nothing", {}, ["lane"]),
    ("/raises", {}, ["lane"]),
    ("/forgets_start", {}, ["channel", "lane"]),
    ("/raises_late", {}, ["channel"] * 2),
    ("/file", {"QUERY_STRING": "open(%r, 'rb')" % __file__}, ["channel"]),
])
def test_only_whole_answers_of_one_frame_go_by_the_lane(laned, path, environ, way):
    front = laned()
    front.asleep(0)
    id = front.request(path, **environ)
    frames = []

    def arrived(within=0):
        data = front.lane.receive()
        if data:
            frames.append(("lane", Frame(data)))
        elif readable(front, within):
            frame = front._receive()
            if frame.kind != "N":  # a file that was read belongs to no request
                frames.append(("channel", frame))
            return within and arrived(within)
        return len(frames) == len(way)
    poll(arrived, "not all frames came")
    arrived(0.02)
    assert sorted(taken for taken, _ in frames) == sorted(way)
    assert {frame.id for _, frame in frames} == {id}


def awake(front, size):
    """Asks for an answer of that size while the front stays awake; returns the frame, and
    whether the lane has it."""
    front.asleep(0)
    before = front.lane.word(Lane.ANSWERED)
    id = front.request("/big", QUERY_STRING="%d,1" % size)
    poll(lambda: front.lane.word(Lane.ANSWERED) != before or readable(front), "never answered")
    laned = front.lane.word(Lane.ANSWERED) != before
    frame = Frame(front.lane.receive()) if laned else front._receive()
    assert frame.id == id and frame.payload.endswith(b"A" * size)
    front.lane.ids.clear()
    return frame, laned


@pytest.mark.parametrize("threads", [1, 3])
def test_answers_that_fit_no_entry_are_in_blocks(laned, threads):
    """The sizes lie around those of an entry and of a frame; each is asked for often enough
    that its head is known."""
    front = laned(threads=threads, window=1 << 30)
    for size in (16200, 16300, 16384, 17000, 40000, 65300, 17000, 100):
        for _ in range(4):
            frame, by_lane = awake(front, size)
            assert by_lane
        # The front has copied what was there: one block is enough, and stays in the cache.
        assert set(front.lane.named) == ({1} if frame.size + 4 > front.lane.entry else set())
        front.lane.named.clear()


def test_blocks_that_the_front_has_yet_to_copy_are_not_used_again(laned):
    front = laned(requests=8, responses=4, window=1 << 30)
    front.asleep(0)
    sizes = 20001, 20002, 20003, 5
    ids = [front.request("/big", QUERY_STRING="%d,1" % size) for size in sizes]
    poll(lambda: readable(front), "no answer by the channel")
    third = front._receive()
    assert third.id == ids[2] and third.payload.endswith(b"A" * 20003)
    published(front, 3)
    for index in 0, 1, 3:
        frame = Frame(front.lane.receive())
        assert frame.id == ids[index] and frame.payload.endswith(b"A" * sizes[index])
    front.lane.ids.clear()
    assert sorted(front.lane.named) == [0, 1]
    for size in (20004, 20005, 20006):
        assert awake(front, size)[1]
    assert len(front.lane.named) == 5


def test_without_blocks_larger_answers_go_by_the_channel():
    with Front("applications:app", HERE, lane=Lane(8, 4, blocks=0), by="lane") as front:
        front.ready()
        assert not awake(front, 20000)[1]
        assert awake(front, 1000)[1]


@pytest.mark.parametrize("threads", [1, 3])
def test_bodies_in_the_lane_are_read_whole(laned, threads):
    front = laned(threads=threads)
    for size in (0, 1, 100, 15000):
        body = os.urandom(size)
        answer = front.get("/body", method="POST", body=body, QUERY_STRING="i.read()")
        assert ast.literal_eval(answer.body.decode("latin-1")) == body


def test_a_body_in_a_descriptor_goes_by_the_channel_beside_the_lane(laned):
    front = laned()
    for _ in range(20):
        id = front.request("/hello")
        spooled = front.request("/body", method="POST", body=b"spooled", spooled=True,
                                QUERY_STRING="i.read()")
        assert front.answer(spooled).body == b"b'spooled'"
        assert front.answer(id).body == b"hello"


def test_a_frame_in_the_lane_has_no_descriptors(laned):
    front = laned()
    waiting(front)
    frame = HEADER.pack(ord("R"), 1, 0, 9) + struct.pack("<I", 1) + b"{"
    front.lane.put(frame, 9)
    front.nudge()
    assert front.wait() == 1
    assert "ProtocolError" in front.errors()


@pytest.mark.parametrize("threads", [1, 4])
def test_many_requests_both_ways_are_each_answered_once(laned, threads):
    front = laned(requests=16, responses=4, by="mixed", threads=threads)
    live, done, taken = set(), 0, 0
    while done < 3000:
        while len(live) < 16 and len(front.lane.ids) < 16:
            live.add(front.request("/answers", QUERY_STRING="('200 OK', [], [b'%d'])" % (
                front.last + 1)))
        if done % 7 == 3:
            back = front.lane.take_back()
            if back is not None:
                live.remove(back)
                taken += 1
                done += 1
        frame = front.step()
        answer = front.answers.pop(frame.id)
        assert answer.body == b"%d" % frame.id and answer.complete
        live.remove(frame.id)
        done += 1
    for id in sorted(live):
        assert front.answer(id).body == b"%d" % id
    assert {"lane", "channel"} == set(front.way)
    assert front.retire() == 0


def test_requests_in_the_lane_reach_every_thread(laned, tmp_path):
    front = laned(threads=3)
    flag = tmp_path / "flag"
    waiting(front, 3)
    ids = [front.request("/waits", QUERY_STRING=str(flag)) for _ in range(3)]
    poll(lambda: {front.mark(slot) for slot in range(3)} == set(ids), "not side by side")
    flag.touch()
    assert len({front.answer(id).body for id in ids}) == 3


def test_the_window_is_spent_in_the_lane_too(laned):
    front = laned(window=12)
    ids = [front.request("/hello") for _ in range(3)]
    published(front, 2)
    poll(lambda: front.mark(0) == ids[2], "never marked")
    assert not readable(front, 0.05), "the window is overdrawn"
    front.grant(0, 10)
    assert [id for id in ids if not front.answer(id).complete] == []
    assert front.answer(front.request("/hello")).complete
    id = front.request("/big", QUERY_STRING="3,1")  # 12 + 10 - 4 * 5 = 2 are left
    poll(lambda: front.mark(0) == id, "never marked")
    assert not readable(front, 0.05) and front.lane.receive() is None


@pytest.mark.parametrize("threads", [1, 3])
def test_retiring_ends_a_worker_that_served_by_the_lane(laned, tmp_path, threads):
    front = laned(threads=threads)
    slow, flag = block(front, tmp_path)
    while front.lane.take_back() is not None:
        pass
    front.asleep(0)
    front.channel.shutdown(1)
    flag.touch()
    assert front.wait() == 0
    assert Frame(front.lane.receive()).id == slow, "an answer outlives its worker"


@pytest.mark.parametrize("path", ["/forks", "/forks_exit"])
def test_a_fork_touches_nothing_of_the_lane(laned, path):
    front = laned(threads=2)
    for _ in range(3):
        before = front.lane.word(Lane.ANSWERED)
        front.asleep(0)
        id = front.request(path)
        published(front, before + 1)
        assert front.answer(id).body in (b"0", b"21")
        waiting(front, 2)
        assert front.answer(front.request("/hello")).body == b"hello"
    assert front.retire() == 0


def test_the_fork_of_a_fork_says_nothing(laned):
    front = laned()
    assert front.answer(front.request("/forks_twice")).body == b"22"
    assert front.retire() == 0
    assert front.errors() == ""


def test_an_interrupt_while_waiting_leaves_the_count_right(laned, tmp_path):
    (tmp_path / "raising.py").write_text(
        "import signal\n"
        "def interrupt(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGUSR1, interrupt)\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [])\n"
        "    return []\n")
    front = laned(app="raising:app", pythonpath=[str(tmp_path)])
    waiting(front)
    os.kill(front.pid, signal.SIGUSR1)
    while front.left_reason is None:
        assert front.step() is not None
    waiting(front)
    assert front.answer(front.request("/")).status == "200 OK"
    assert front.retire() == 0


def test_children_inherit_no_descriptor_of_the_lane(laned):
    front = laned(threads=2)
    inherited = ast.literal_eval(front.get("/descriptors").body.decode())
    # 3 is what lists them; above 9 may be what the tests themselves were given
    assert [number for number in inherited if number < 10] == [0, 1, 2, 3]


@pytest.mark.parametrize("threads", [1, 2])
def test_barriers_for_machines_that_reorder_stores_do_not_block(laned, tmp_path, threads):
    (tmp_path / "sitecustomize.py").write_text(
        "import os\n"
        "os.uname = lambda: os.uname_result(('Linux', 'here', '1', '1', 'aarch64'))\n")
    front = laned(threads=threads, environ={"PYTHONPATH": str(tmp_path)})
    front.asleep(0)
    for _ in range(50):
        before = front.lane.word(Lane.ANSWERED)
        id = front.request("/answers", QUERY_STRING="('200 OK', [], [__import__('os')"
                                                    ".uname().machine.encode()])")
        published(front, before + 1)
        assert front.answer(id).body == b"aarch64"
        waiting(front, threads)
    assert front.retire() == 0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("python", INTERPRETERS)
def test_the_lane_works_on(laned, python, threads):
    front = laned(python=python, threads=threads, by="mixed")
    for _ in range(200):
        ids = [front.request("/hello") for _ in range(4)]
        assert [front.answer(id).body for id in ids] == [b"hello"] * len(ids)
    front.by = "lane"
    waiting(front, threads)
    front.asleep(0)
    before = front.lane.word(Lane.ANSWERED)
    id = front.request("/body", method="POST", body=b"one\ntwo", QUERY_STRING="list(i)")
    published(front, before + 1)
    assert front.answer(id).body == b"[b'one\\n', b'two']"
    assert front.answer(front.request("/forks")).body == b"0"
    assert front.retire() == 0 and front.errors() == ""


@pytest.mark.parametrize("waits, limit", [
    ([], 0), ([1], 0), ([250e-6], 16e-6), ([1e-6] * 2, 32e-6), ([1e-6] * 9, 64e-6),
    ([1e-6] * 9 + [1], 32e-6), ([1e-6] * 9 + [1] * 3, 0),
])
def test_hesitation_follows_the_waits(waits, limit):
    hesitation = Hesitation()
    for seconds in waits:
        hesitation.waited(seconds)
    assert hesitation.limit == pytest.approx(limit)


def test_a_long_yield_ends_hesitation():
    hesitation = Hesitation()
    hesitation.waited(1e-6)
    assert hesitation.yielded(1e-3) and hesitation.limit
    assert not hesitation.yielded(2e-3)
    for _ in range(hesitation.OFF):
        assert hesitation.limit == 0
        hesitation.waited(1e-6)
    hesitation.waited(1e-6)
    assert hesitation.limit == 16e-6
