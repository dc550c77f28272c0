"""Applications whose imports replace the standard library's threads by greenlets."""

import pytest

from test_process import poll


KINDS = [("gevent", 1), ("gevent", 3), ("eventlet", 1)]


@pytest.fixture
def patched(own, monkeypatch):
    def start(package, **settings):
        monkeypatch.setenv("GREEN", package)
        return own("patchedapplications:app", **settings)

    return start


@pytest.mark.parametrize("package, threads", KINDS)
def test_requests_are_answered(patched, package, threads):
    front = patched(package, threads=threads)
    front.ready()
    for _ in range(3):
        ids = [front.request("/locks") for _ in range(threads)]
        for id in ids:
            assert front.answer(id).body == b"locked"
    assert front.retire() == 0


def test_threads_run_at_once(patched, tmp_path):
    front = patched("gevent", threads=2)
    front.ready()
    flag = str(tmp_path / "flag")
    first = front.request("/waits", QUERY_STRING=flag)
    second = front.request("/comes", QUERY_STRING=flag)
    assert front.answer(first).body == b"came"
    assert front.answer(second).body == b"comes"


@pytest.mark.parametrize("package, threads", KINDS)
def test_a_crowd_of_blocks_arrives(patched, package, threads):
    front = patched(package, threads=threads)
    front.ready()
    whole = b"".join(b"%03d" % number for number in range(1000)) + b"end"
    assert front.answer(front.request("/crowd")).body == whole


@pytest.mark.parametrize("package, threads", KINDS)
def test_the_heart_beats(patched, package, threads):
    front = patched(package, threads=threads, heartbeat=40)
    front.ready()
    seen = front.heartbeat()
    poll(lambda: front.heartbeat() != seen, "it stands still")


def test_threads_that_share_no_locks_are_refused(patched):
    front = patched("eventlet", threads=2)
    kind, value = front.boot()
    assert kind == "F" and "replaced Python's threads by eventlet's" in value["message"]
    assert front.wait() == 3
