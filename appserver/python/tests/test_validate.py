"""wsgiref.validate finds nothing, and every interpreter there is runs the worker."""

import glob
import os

import pytest

from front import HERE

BODY = b"one\ntwo\nthree\nfour\n"
INTERPRETERS = ["/usr/bin/python3"] + sorted(
    path for minor in range(8, 30)
    for path in glob.glob(os.path.expanduser("~/.pyenv/versions/3.%d*/bin/python3" % minor)))
RULES = [
    ("listed", "GET", "200 OK", b"list"), ("parts", "GET", "200 OK", b"parts"),
    ("generated", "GET", "200 OK", b"generated"), ("written", "GET", "200 OK", b"written"),
    ("replaced", "GET", "503 Service Unavailable", b"replaced"),
    ("empty", "GET", "204 No Content", b""), ("unchanged", "GET", "304 Not Modified", b""),
    ("wrapped", "GET", "200 OK", b"wrapped"), ("read", "POST", "200 OK", b"on|e\n|two|\n|three\n|four\n"),
    ("listed", "HEAD", "200 OK", b""), ("generated", "HEAD", "200 OK", b""),
    ("wrapped", "HEAD", "200 OK", b""),
]


@pytest.fixture(scope="module")
def validated():
    from front import Front
    with Front("validated:app", HERE, threads=2) as front:
        front.ready()
        yield front
        assert front.retire() == 0
        assert front.errors() == "", "the validator complains on stderr"


@pytest.mark.parametrize("spooled", [False, True], ids=["inline", "descriptor"])
@pytest.mark.parametrize("path, method, status, body", RULES)
def test_the_validator_finds_nothing(validated, path, method, status, body, spooled):
    sent = BODY if method == "POST" else b""
    answer = validated.answer(validated.request("/" + path, method, sent, spooled and bool(sent)))
    assert (answer.status, answer.body, answer.logs) == (status, body, [])
    assert "Traceback" not in validated.errors()


@pytest.mark.parametrize("python", INTERPRETERS)
def test_worker_runs_on(own, python, tmp_path):
    page = tmp_path / "page"
    page.write_bytes(b"page" * 100)
    front = own(python=python, threads=2, window=100000)
    ready = front.ready()
    assert ready["executable"] == python
    assert front.get("/hello").body == b"hello"
    assert front.get("/generator", QUERY_STRING="a,b").body == b"ab"
    assert front.get("/body", method="POST", body=BODY, spooled=True, long=True,
                     QUERY_STRING="list(i)").body == repr(BODY.splitlines(True)).encode()
    answer = front.get("/file", QUERY_STRING="open(%r, 'rb')" % str(page))
    assert (answer.body, answer.file_length) == (page.read_bytes(), 400)
    assert front.get("/answers", QUERY_STRING="('200 OK', [('X-A', SafeString('b'))], [])"
                     ).headers[0] == ("X-A", "b")
    assert front.get("/answers", QUERY_STRING="('200 OK', [('X-A', 'a\\nb')], [])").logs
    assert front.get("/raises").status[:3] == "500"
    assert "ValueError: no" in front.errors() and "/proc/self" not in front.errors()
    assert front.get("/forks").body == b"0"
    front.answer(front.request("/terminates"))
    while front.left_reason is None:
        assert front.step() is not None
    assert front.retire() == 0


@pytest.mark.parametrize("python", INTERPRETERS)
def test_failed_boot_is_told_by(own, python, tmp_path):
    (tmp_path / "mod.py").write_text("import absent_module\n")
    front = own("mod:app", tmp_path, python=python)
    kind, value = front.boot()
    assert kind == "F" and "absent_module" in value["message"] and python in value["message"]
    assert "/proc/self" not in value["traceback"] and "mod.py" in value["traceback"]
    assert "importlib" not in value["traceback"]
    assert front.wait() == 3


@pytest.mark.parametrize("python", INTERPRETERS)
def test_sys_exit_and_signals_on(own, python):
    front = own(python=python, threads=2)
    front.ready()
    front.answer(front.request("/exits", QUERY_STRING="5"))
    assert front.retire() == 5
