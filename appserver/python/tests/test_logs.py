"""The loggers gunicorn.error and gunicorn.access, as applications find them."""

import ast

import pytest

FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s", "[%Y-%m-%d %H:%M:%S %z]"
FAILED = "error in GET /logs (request r-1)"


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_loggers_are_gunicorns(own, level):
    front = own(log_level=level)
    front.ready()
    assert ast.literal_eval(front.get("/loggers").body.decode()) == [
        ("gunicorn.error", level.upper(), False, [(True,) + FORMAT]),
        ("gunicorn.access", "INFO", False, [(True, "%(message)s", FORMAT[1])])]


@pytest.mark.parametrize("how, logged, printed", [
    ("", ["[INFO] order 42\nplaced\n", "[ERROR] " + FAILED + "\nTraceback"], []),
    ("disabled", [], [FAILED + "\nTraceback"]),
    ("bare", [], [FAILED + "\nTraceback"]),
    ("own", [], ["OWN INFO order 42", "OWN ERROR " + FAILED + "\nTraceback"]),
    ("broken", ["[INFO] order 42"], [FAILED + "\nTraceback"]),
    ("closed", [], ["[INFO] order 42", "[ERROR] " + FAILED + "\nTraceback"]),
    ("quiet", [], []),
])
def test_a_failure_goes_where_gunicorn_error_goes(own, how, logged, printed):
    front = own()
    front.ready()
    assert front.get("/logs", QUERY_STRING=how, REQUEST_ID="r-1").status[:3] == "500"
    stderr = front.errors()[:-len(front.logged()) or None]
    for text, parts in ((front.logged(), logged), (stderr, printed)):
        for part in parts:
            assert text.count(part) == 1
        if not parts:
            assert text == ""
    assert (front.errors().count("ValueError: no answer") == 1) == (how != "quiet")
    assert "unheard" not in front.errors()
    assert front.output() == "GET /logs\n"
