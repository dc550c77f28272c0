"""PEP 3333, rule by rule, on a worker process."""

import ast
import hashlib
import re

import pytest


def answers(front, expression, **more):
    return front.get("/answers", QUERY_STRING=expression, **more)


def test_a_list_of_one_body_is_one_frame(shared):
    answer = shared.get("/hello")
    assert (answer.kinds, answer.status, answer.body) == ("H", "200 OK", b"hello")
    assert answer.headers == [("Content-Type", "text/plain"), ("Content-Length", "5")]


def test_environ_has_the_constants_and_what_the_front_sent(shared):
    answer = shared.get("/shows_environ", HTTP_X_A="caf\xe9", SERVER_PORT="81")
    environ = ast.literal_eval(answer.body.decode())
    assert environ["HTTP_X_A"] == "caf\xe9"
    assert environ["SERVER_PORT"] == "81"
    assert environ["SERVER_SOFTWARE"] == "front"
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.input_terminated"] is True
    assert environ["wsgi.multithread"] is False
    assert environ["wsgi.multiprocess"] is True
    assert environ["wsgi.run_once"] is False
    assert {"wsgi.errors", "wsgi.input", "wsgi.file_wrapper"} <= set(environ)


@pytest.mark.parametrize("spooled", [False, True], ids=["inline", "descriptor"])
@pytest.mark.parametrize("expression, expected", [
    ("i.read()", b"one\ntwo\nthree"),
    ("i.read(5)", b"one\nt"),
    ("(i.read(-1), i.read(), i.read(1))", (b"one\ntwo\nthree", b"", b"")),
    ("(i.read(1000), i.readline())", (b"one\ntwo\nthree", b"")),
    ("(i.readline(), i.readline(2), i.readline(), i.readline(), i.readline())",
     (b"one\n", b"tw", b"o\n", b"three", b"")),
    ("i.readlines()", [b"one\n", b"two\n", b"three"]),
    ("i.readlines(2)", [b"one\n"]),
    ("list(i)", [b"one\n", b"two\n", b"three"]),
])
def test_input_is_bounded_by_the_body(shared, spooled, expression, expected):
    answer = shared.get("/body", method="POST", body=b"one\ntwo\nthree", spooled=spooled,
                        QUERY_STRING=expression)
    assert ast.literal_eval(answer.body.decode()) == expected


def test_input_without_a_body_is_empty_after_a_request_with_one(shared):
    shared.get("/body", method="POST", body=b"secret", QUERY_STRING="i.read(1)")
    assert shared.get("/body", QUERY_STRING="i.read()").body == b"b''"


def test_input_is_closed_after_the_request(shared):
    shared.get("/keep_input", method="POST", body=b"x", spooled=True)
    assert shared.get("/keep_input").body == b"True"


@pytest.mark.parametrize("spooled", [False, True], ids=["inline", "descriptor"])
def test_an_input_that_the_application_holds_on_to_does_no_harm(shared, spooled):
    answer = shared.get("/keep_buffer", method="POST", body=b"body", spooled=spooled)
    assert answer.body == b"kept"
    assert shared.get("/hello").body == b"hello"


def test_what_comes_after_an_answer_harms_no_other(own):
    front = own()
    front.ready()
    for _ in range(4):  # an answer whose head is known goes another way
        first = front.get("/writes_late")
        answer = front.get("/writes_late")
        assert (first.body, first.complete) == (b"kept", True)
        assert (answer.status, answer.body) == ("200 OK", b"refused")
        assert "more bytes than its Content-Length" in first.logs[0]


@pytest.mark.parametrize("size", [0, 1, 262144, 262145, 1000000])
@pytest.mark.parametrize("expression", [
    "i.read(int(n))", "i.read()", "b''.join(iter(lambda: i.read(1000), b''))", "b''.join(i)",
    "b''.join([i.read(10), i.readline(), b''.join(i.readlines())])",
])
def test_a_body_in_a_descriptor_is_read_whole(shared, size, expression):
    body = (b"%d\n" % size * size)[:size]
    digest = "__import__('hashlib').sha1(%s).hexdigest()" % expression
    answer = shared.get("/body", method="POST", body=body, spooled=True,
                        QUERY_STRING="(lambda n: %s)(%d)" % (digest, size))
    assert answer.body.decode() == repr(hashlib.sha1(body).hexdigest())


def test_environ_may_come_in_a_descriptor(shared):
    answer = shared.get("/body", method="POST", body=b"spooled", spooled=True, long=True,
                        HTTP_X_LONG="x" * 100000,
                        QUERY_STRING="i.read()")
    assert answer.body == b"b'spooled'"
    assert shared.get("/hello", long=True).body == b"hello"


def test_inline_body_fills_the_largest_frame(shared):
    body = b"x" * 64000
    answer = shared.get("/body", method="POST", body=body, QUERY_STRING="len(i.read())")
    assert answer.body == b"64000"


def test_generator_is_streamed_part_by_part(shared):
    answer = shared.get("/generator", QUERY_STRING="a,,b")
    assert [(frame.kind, frame.flags) for frame in answer.frames] == [("H", 0), ("D", 0), ("D", 1)]
    assert answer.body == b"ab"
    assert answer.header("Content-Length") is None


def test_a_part_is_sent_before_the_next_is_asked_for(shared, tmp_path):
    flag = tmp_path / "flag"
    id = shared.request("/paced", QUERY_STRING=str(flag))
    while shared.step().id != id:
        pass
    assert shared.answers[id].body == b"first"
    flag.touch()
    assert shared.answer(id).body == b"firstsecond"


def test_start_response_may_be_called_by_the_first_next(shared):
    assert shared.get("/lazy_start").body == b"late"


def test_an_empty_iterator_has_a_length_of_zero(shared):
    answer = answers(shared, "('200 OK', [], iter([]))")
    assert (answer.kinds, answer.header("Content-Length"), answer.body) == ("H", "0", b"")


@pytest.mark.parametrize("parts, length", [
    ("[b'abc']", "3"), ("(b'ab', b'', b'c')", "3"), ("[]", "0"), ("[b'x' * 40000] * 3", "120000"),
])
def test_length_is_added_to_a_list(shared, parts, length):
    answer = answers(shared, "('200 OK', [], %s)" % parts)
    assert answer.header("content-length") == length
    assert len(answer.body) == int(length) and answer.complete and not answer.logs


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("parts", ["[b'body']", "Closing([b'body', b'more'])"])
def test_status_without_a_body_sends_none(shared, status, parts):
    shared.get("/happened")
    answer = answers(shared, "(%r, [], %s)" % (status, parts))
    assert (answer.kinds, answer.status, answer.body, answer.headers) == ("H", status, b"", [])
    assert shared.get("/happened").body == (b"closed" if "Closing" in parts else b"")


@pytest.mark.parametrize("status, kept", [("204 No Content", None), ("304 Not Modified", "4")])
def test_length_is_kept_where_it_has_a_meaning(shared, status, kept):
    answer = answers(shared, "(%r, [('Content-Length', '4')], [])" % status)
    assert (answer.header("Content-Length"), answer.logs) == (kept, [])


@pytest.mark.parametrize("headers, parts, length", [
    ("[('Content-Length', '4')]", "[b'body']", "4"),
    ("[('Content-Length', '4')]", "[]", "4"),
    ("[]", "[b'body']", "4"),
    ("[]", "[]", None),
    ("[]", "Closing([b'body', ValueError('not asked for')])", None),
])
def test_head_sends_no_body_and_keeps_the_length(shared, headers, parts, length):
    shared.get("/happened")
    answer = answers(shared, "('200 OK', %s, %s)" % (headers, parts), method="HEAD")
    assert (answer.kinds, answer.body, answer.header("Content-Length")) == ("H", b"", length)
    assert not answer.logs and answer.complete
    assert shared.get("/happened").body == (b"closed" if "Closing" in parts else b"")


@pytest.mark.parametrize("parts", ["[b'12345']", "[b'123', b'45']", "iter([b'12', b'345'])",
                                   "Closing([b'123', b'45'])"])
def test_too_many_bytes_are_cut_and_logged_once(shared, parts):
    answer = answers(shared, "('200 OK', [('Content-Length', '3')], %s)" % parts)
    assert (answer.body, answer.complete, answer.aborted) == (b"123", True, None)
    assert len(answer.logs) == 1 and "more bytes than its Content-Length" in answer.logs[0]


@pytest.mark.parametrize("parts", ["[b'12']", "[b'1', b'2']", "iter([b'1', b'2'])", "[]"])
def test_too_few_bytes_abort_and_are_logged(shared, parts):
    answer = answers(shared, "('200 OK', [('Content-Length', '3')], %s)" % parts)
    assert not answer.complete and answer.kinds[-2:] == "LX"
    assert "bytes less than its Content-Length" in answer.logs[0]


def test_a_response_ends_with_the_last_byte_promised(shared):
    answer = answers(shared, "('200 OK', [('Content-Length', '2')], iter([b'1', b'2', b'']))")
    assert [(frame.kind, frame.flags) for frame in answer.frames] == [("H", 0), ("D", 1)]


def test_write_sends_at_once(shared):
    answer = shared.get("/writes")
    assert (answer.kinds, answer.body) == ("HDDD", b"one,two,three")


def test_write_of_nothing_sends_the_head(shared):
    answer = shared.get("/writes_nothing")
    assert (answer.kinds, answer.body, answer.complete) == ("HD", b"", True)


def test_write_is_cut_at_the_length(shared):
    answer = shared.get("/writes_too_many")
    assert (answer.body, len(answer.logs)) == (b"123", 1)


def test_a_second_start_response_is_an_error(shared):
    answer = shared.get("/twice")
    assert answer.status == "500 Internal Server Error"
    assert "a second time without exc_info" in shared.errors()


def test_exc_info_replaces_a_head_that_was_not_sent(shared):
    answer = shared.get("/replaced")
    assert (answer.status, answer.body) == ("503 Busy", b"replaced")


def test_exc_info_is_raised_again_once_the_head_was_sent(shared):
    shared.get("/happened")
    answer = shared.get("/too_late")
    assert (answer.status, answer.body, answer.complete) == ("200 OK", b"begun", False)
    assert "after its response had begun" in answer.aborted
    assert "KeyError: 'late mistake'" in shared.errors()
    assert shared.get("/happened").body == b""


@pytest.mark.parametrize("path, told", [
    ("/raises", "ValueError: no\nanswer"), ("/raises_base", "Timeout: as gevent's"),
    ("/returns_str", "TypeError: a WSGI application yields bytes, not str"),
])
def test_failure_before_the_head_is_a_plain_500(own, path, told):
    front = own()
    front.ready()
    answer = front.get(path, REQUEST_ID="r-17")
    assert answer.status == "500 Internal Server Error"
    assert answer.body == b"Internal Server Error\n"
    assert answer.header("Content-Type").startswith("text/plain")
    assert re.match(r"\[\d+-\d+-\d+ [\d:]+ [+-]\d+\] \[%d\] \[ERROR\] error in GET %s \(request r-17\)\n"
                    % (front.pid, path), front.logged())
    assert front.logged().count(told) == 1
    assert told in front.errors()
    assert "alicorn/wsgi.py" not in front.errors()


def test_path_cannot_forge_log_lines(own):
    front = own()
    front.ready()
    front.get("/raises/\nerror in \x1b[2J", REQUEST_ID="1")
    assert front.errors().splitlines()[0].partition("[ERROR] ")[2] == \
        r"error in GET /raises/\nerror in \x1b[2J (request 1)"


def test_failure_without_a_free_descriptor_is_a_500_with_its_request(own):
    front = own()
    front.ready()
    for _ in range(2):
        assert front.get("/fails_full").status == "500 Internal Server Error"
        assert re.search(r"error in GET /fails_full \(request [0-9a-f]{32}\)\n", front.errors())
    assert front.get("/hello").body == b"hello"


def test_failure_after_the_head_aborts_and_closes(shared):
    shared.get("/happened")
    answer = shared.get("/raises_late")
    assert (answer.body, answer.complete) == (b"some", False)
    assert answer.aborted and "ValueError: halfway" in shared.errors()
    assert shared.get("/happened").body == b"closed"


def test_failure_in_close_leaves_the_answer_whole(shared):
    answer = shared.get("/raises_in_close")
    assert (answer.body, answer.complete, answer.aborted) == (b"all", True, None)
    assert "ValueError: close failed" in shared.errors()


def test_failure_of_a_head_request_has_no_body(shared):
    answer = shared.get("/raises", method="HEAD")
    assert (answer.status[:3], answer.body, answer.header("Content-Length")) == ("500", b"", "22")


@pytest.mark.parametrize("path, complaint", [
    ("/forgets_start", "did not call start_response"), ("/returns_none", "returned None"),
])
def test_breach_of_the_protocol_is_told(shared, path, complaint):
    answer = shared.get(path)
    assert answer.status[:3] == "500" and complaint in answer.logs[0]


def test_what_an_application_prints_is_not_protocol(own):
    front = own()
    front.ready()
    assert front.get("/prints").body == b"quiet"
    assert front.output() == "on stdout\nH\x00\x00\x00 raw bytes\n"
    assert "on wsgi.errors\n" in front.logged(), "which belongs to the error log"
